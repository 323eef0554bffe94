import { Button, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { FilterButton } from "@/components/filters/filter-button";

interface TextFilterProps {
  label: string;
  /** What such a text looks like. */
  placeholder: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

/** A filter by a text that is written in full, such as the name of a stream. */
export function TextFilter({ label, placeholder, value, onChange }: TextFilterProps) {
  const [text, setText] = useState(value ?? "");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onChange(text.trim() || undefined);
  };
  return (
    <FilterButton label={label} value={value} onClear={() => onChange(undefined)}>
      <form onSubmit={submit}>
        <TextInput
          size="xs"
          aria-label={label}
          placeholder={placeholder}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          rightSectionWidth={64}
          rightSection={
            <Button type="submit" size="compact-xs" variant="default">
              Apply
            </Button>
          }
        />
      </form>
    </FilterButton>
  );
}
