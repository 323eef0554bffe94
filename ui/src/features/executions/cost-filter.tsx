import { TextInput } from "@mantine/core";
import { FilterButton } from "@/components/filters/filter-button";
import type { ExecutionSearch } from "./search";

interface CostFilterProps {
  min: string | undefined;
  max: string | undefined;
  onChange: (change: Pick<Partial<ExecutionSearch>, "cost_min" | "cost_max">) => void;
}

/** A filter by what an execution cost, in dollars. */
export function CostFilter({ min, max, onChange }: CostFilterProps) {
  const isSet = min !== undefined || max !== undefined;
  const input = (name: "cost_min" | "cost_max", label: string, value: string | undefined) => (
    <TextInput
      size="xs"
      type="number"
      min={0}
      step="any"
      label={label}
      leftSection="$"
      value={value ?? ""}
      onChange={(event) => onChange({ [name]: event.currentTarget.value || undefined })}
    />
  );
  return (
    <FilterButton
      label="Cost"
      value={isSet ? `$${min ?? "0"} – ${max === undefined ? "…" : `$${max}`}` : undefined}
      onClear={() => onChange({ cost_min: undefined, cost_max: undefined })}
    >
      {input("cost_min", "At least", min)}
      {input("cost_max", "At most", max)}
    </FilterButton>
  );
}
