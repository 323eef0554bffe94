import { TextInput } from "@mantine/core";
import { IconArrowBarToRight } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { alternatives } from "@/app/search-params";
import { ChoiceFilter } from "@/components/filters/choice-filter";
import filters from "@/components/filters/filters.module.css";
import classes from "./events.module.css";
import type { EventSearch } from "./search";
import { TextFilter } from "./text-filter";
import { EVENT_TYPES } from "./words";

const TYPES = Object.values(EVENT_TYPES)
  .flat()
  .map((type) => ({ value: type, label: type }));

interface EventFiltersProps {
  search: EventSearch;
  onChange: (change: Partial<EventSearch>) => void;
}

/** What the log can be narrowed by, and where in it to go; the address has all of it. */
export function EventFilters({ search, onChange }: EventFiltersProps) {
  return (
    <search className={filters.bar}>
      <ChoiceFilter
        label="Type"
        choices={TYPES}
        chosen={alternatives(search.type)}
        onChange={(types) => onChange({ type: types.join(",") || undefined })}
      />
      <TextFilter
        key={`stream ${search.stream}`}
        label="Stream"
        placeholder="agent:scout"
        value={search.stream}
        onChange={(stream) => onChange({ stream })}
      />
      <TextFilter
        key={`actor ${search.actor}`}
        label="Actor"
        placeholder="system, user:ID, agent:NAME"
        value={search.actor}
        onChange={(actor) => onChange({ actor })}
      />
      <GoTo onGo={(position) => onChange({ after: String(Math.max(0, position - 1)) })} />
    </search>
  );
}

/** Leads to a position of the log. */
function GoTo({ onGo }: { onGo: (position: number) => void }) {
  const [text, setText] = useState("");
  const position = Number(text.replaceAll(/[\s,.]/g, ""));
  const isPosition = text.trim() !== "" && Number.isSafeInteger(position) && position >= 0;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isPosition) onGo(position);
  };
  return (
    <form onSubmit={submit}>
      <TextInput
        data-search
        className={classes.goTo}
        size="xs"
        inputMode="numeric"
        placeholder="Go to position"
        aria-label="Go to position"
        error={text.trim() !== "" && !isPosition}
        leftSection={<IconArrowBarToRight size={14} aria-hidden />}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}
