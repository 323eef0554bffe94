import { Checkbox, TextInput } from "@mantine/core";
import { useState } from "react";
import { formatShortCount } from "@/lib/format";
import { FilterButton } from "./filter-button";
import classes from "./filters.module.css";

/** From so many choices on they can be searched. */
const SEARCH_FROM_CHOICES = 9;

/** Something to choose, with how many rows have it. */
export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly count?: number;
}

interface ChoiceFilterProps {
  label: string;
  choices: readonly Choice[];
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}

/** A filter by one or more of some values. */
export function ChoiceFilter({ label, choices, chosen, onChange }: ChoiceFilterProps) {
  const [text, setText] = useState("");
  const labelOf = (value: string) =>
    choices.find((choice) => choice.value === value)?.label ?? value;
  const toggle = (value: string) =>
    onChange(
      chosen.includes(value) ? chosen.filter((other) => other !== value) : [...chosen, value],
    );
  const found = choices.filter((choice) =>
    choice.label.toLowerCase().includes(text.trim().toLowerCase()),
  );
  return (
    <FilterButton
      label={label}
      value={chosen.length === 0 ? undefined : chosen.map(labelOf).join(", ")}
      onClear={() => onChange([])}
    >
      {choices.length >= SEARCH_FROM_CHOICES && (
        <TextInput
          size="xs"
          placeholder="Find"
          aria-label={`Find in ${label}`}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      <div className={classes.choices}>
        {found.map(({ value, label: name, count }) => (
          <div key={value} className={classes.choice}>
            <Checkbox
              size="xs"
              label={name}
              checked={chosen.includes(value)}
              onChange={() => toggle(value)}
            />
            {count !== undefined && (
              <span className={classes.count}>{formatShortCount(count)}</span>
            )}
          </div>
        ))}
        {found.length === 0 && <p className={classes.none}>Nothing to choose</p>}
      </div>
    </FilterButton>
  );
}
