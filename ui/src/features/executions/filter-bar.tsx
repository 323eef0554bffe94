import { useQuery } from "@tanstack/react-query";
import { alternatives } from "@/app/search-params";
import { ChoiceFilter } from "@/components/filters/choice-filter";
import filters from "@/components/filters/filters.module.css";
import { SearchBox } from "@/components/filters/search-box";
import { TimeFilter } from "@/components/filters/time-filter";
import { EXECUTION_STATUS_LOOK, EXECUTION_STATUSES } from "@/components/status";
import { useLiveHub } from "@/live/context";
import { CostFilter } from "./cost-filter";
import { facetsQuery } from "./queries";
import { type ExecutionSearch, TRIGGERS } from "./search";

interface FilterBarProps {
  search: ExecutionSearch;
  onChange: (change: Partial<ExecutionSearch>) => void;
}

/** What the list can be narrowed by; the address has all of it. */
export function FilterBar({ search, onChange }: FilterBarProps) {
  const hub = useLiveHub();
  // What there is to choose from does not shrink with what was chosen.
  const range = { from: search.from, to: search.to } as ExecutionSearch;
  const facets = useQuery(facetsQuery(range, hub.recent.floor)).data?.value;
  const agents = Object.keys(facets?.agent ?? {}).sort();
  const set = (name: keyof ExecutionSearch) => (chosen: string[]) =>
    onChange({ [name]: chosen.join(",") || undefined });
  return (
    <search className={filters.bar}>
      <ChoiceFilter
        label="Status"
        choices={EXECUTION_STATUSES.map((value) => ({
          value,
          label: EXECUTION_STATUS_LOOK[value].word,
          count: facets?.status[value] ?? 0,
        }))}
        chosen={alternatives(search.status)}
        onChange={set("status")}
      />
      <ChoiceFilter
        label="Agent"
        choices={agents.map((value) => ({ value, label: value, count: facets?.agent[value] }))}
        chosen={alternatives(search.agent)}
        onChange={set("agent")}
      />
      <ChoiceFilter
        label="Trigger"
        choices={TRIGGERS.map((value) => ({
          value,
          label: value,
          count: facets?.triggered_by[value] ?? 0,
        }))}
        chosen={alternatives(search.triggered_by)}
        onChange={set("triggered_by")}
      />
      <TimeFilter from={search.from} to={search.to} onChange={onChange} />
      <CostFilter min={search.cost_min} max={search.cost_max} onChange={onChange} />
      <SearchBox
        label="Words of the task"
        value={search.q}
        onChange={(q) => q !== search.q && onChange({ q })}
      />
    </search>
  );
}
