import { TextInput, UnstyledButton } from "@mantine/core";
import { TIME_ZONE } from "@/app/preferences";
import { useStored } from "@/lib/storage";
import { fromZoned, toZonedInput, zoned } from "@/lib/zoned";
import { FilterButton } from "./filter-button";
import classes from "./filters.module.css";

const PRESETS = [
  { from: "-1h", label: "Last hour" },
  { from: "-24h", label: "Last 24 hours" },
  { from: "-7d", label: "Last 7 days" },
  { from: "-30d", label: "Last 30 days" },
] as const;

/** From when to when, each RFC 3339 or relative such as `-24h`. */
export interface TimeRange {
  readonly from: string | undefined;
  readonly to: string | undefined;
}

interface TimeFilterProps extends TimeRange {
  onChange: (range: TimeRange) => void;
}

/** A filter by time, in the zone that times are shown in. */
export function TimeFilter({ from, to, onChange }: TimeFilterProps) {
  const [zone] = useStored(TIME_ZONE);
  const preset = PRESETS.find((candidate) => candidate.from === from && to === undefined);
  const isSet = from !== undefined || to !== undefined;
  const text = preset?.label ?? `${inWords(from, zone)} – ${inWords(to, zone)}`;
  const input = (name: "from" | "to", label: string, value: string | undefined) => (
    <TextInput
      size="xs"
      type="datetime-local"
      label={label}
      value={toZonedInput(value, zone)}
      onChange={(event) => {
        const moment = fromZoned(event.currentTarget.value, zone);
        onChange({ from, to, [name]: moment });
      }}
    />
  );
  return (
    <FilterButton
      label="Created"
      value={isSet ? text : undefined}
      onClear={() => onChange({ from: undefined, to: undefined })}
    >
      {PRESETS.map((candidate) => (
        <UnstyledButton
          key={candidate.from}
          className={classes.preset}
          aria-pressed={candidate === preset}
          onClick={() => onChange({ from: candidate.from, to: undefined })}
        >
          {candidate.label}
        </UnstyledButton>
      ))}
      {input("from", "From", from)}
      {input("to", "Before", to)}
    </FilterButton>
  );
}

function inWords(value: string | undefined, zone: string): string {
  if (value === undefined) return "…";
  const moment = zoned(value, zone);
  return moment ? `${moment.day} ${moment.time.slice(0, 5)}` : value;
}
