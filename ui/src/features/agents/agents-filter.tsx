import { SegmentedControl } from "@mantine/core";
import { alternatives } from "@/app/search-params";
import { ChoiceFilter } from "@/components/filters/choice-filter";
import filters from "@/components/filters/filters.module.css";
import { SearchBox } from "@/components/filters/search-box";
import { groupBy } from "@/lib/group-by";
import classes from "./agents.module.css";
import type { Agent } from "./fold";
import {
  AGENT_STATUSES,
  type AgentSearch,
  type AgentStatusWord,
  statusWord,
  tagCounts,
} from "./search";

const WORD: Record<AgentStatusWord, string> = {
  running: "Running",
  stopped: "Stopped",
  changing: "Starting or stopping",
  paused: "Paused",
  failed: "Failed",
};

interface AgentsFilterProps {
  search: AgentSearch;
  agents: readonly Agent[];
  onChange: (change: Partial<AgentSearch>) => void;
}

/** What the list can be narrowed by, and how it is laid out. */
export function AgentsFilter({ search, agents, onChange }: AgentsFilterProps) {
  const counts = groupBy(agents, statusWord);
  const tags = tagCounts(agents);
  return (
    <search className={filters.bar}>
      <ChoiceFilter
        label="Status"
        choices={AGENT_STATUSES.map((value) => ({
          value,
          label: WORD[value],
          count: counts.get(value)?.length ?? 0,
        }))}
        chosen={alternatives(search.status)}
        onChange={(chosen) => onChange({ status: chosen.join(",") || undefined })}
      />
      {(tags.length > 0 || search.tag !== undefined) && (
        <ChoiceFilter
          label="Tag"
          choices={tags.map(([value, count]) => ({ value, label: value, count }))}
          chosen={alternatives(search.tag)}
          onChange={(chosen) => onChange({ tag: chosen.join(",") || undefined })}
        />
      )}
      <SearchBox
        label="Name, model or owner"
        value={search.q}
        onChange={(q) => q !== search.q && onChange({ q })}
      />
      <SegmentedControl
        className={classes.layout}
        size="xs"
        aria-label="Layout"
        data={[
          { value: "table", label: "Table" },
          { value: "cards", label: "Cards" },
        ]}
        value={search.view ?? "table"}
        onChange={(view) => onChange({ view: view === "cards" ? "cards" : undefined })}
      />
    </search>
  );
}
