import { ActionIcon, Tooltip } from "@mantine/core";
import { IconChevronDown, IconChevronUp, IconPlugConnectedX } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useActions } from "@/app/actions/use-actions";
import { SearchBox } from "@/components/filters/search-box";
import { formatCount } from "@/lib/format";
import classes from "./log.module.css";
import type { LogState } from "./log-source";
import { type LogSearch, searchSummary } from "./search-cursor";

interface LogToolbarProps {
  total: number;
  state: LogState;
  q: string | undefined;
  search: LogSearch | null;
  hasFailed: boolean;
  onSearch: (q: string | undefined) => void;
  onJump: (by: 1 | -1) => void;
  children?: ReactNode;
}

/** Above a log: how long it is, whether it is live, and the search in it. */
export function LogToolbar(props: LogToolbarProps) {
  const { total, state, q, search, hasFailed, onSearch, onJump, children } = props;
  useActions([
    { id: "log.next", label: "Next match", group: "Log", keys: "n", run: () => onJump(1) },
    { id: "log.previous", label: "Previous match", group: "Log", keys: "b", run: () => onJump(-1) },
  ]);
  const isIdle = !search || search.matches.length === 0;
  return (
    <search className={classes.toolbar}>
      <span className={classes.total}>{formatCount(total)} lines</span>
      {state.stream === "lost" && (
        <span className={classes.lost}>
          <IconPlugConnectedX size={14} aria-hidden /> Reconnecting
        </span>
      )}
      <span className={classes.searching}>
        <SearchBox label="Search in the log" value={q} onChange={onSearch} />
        <span className={classes.matches} role="status">
          {hasFailed ? "The search failed" : search && searchSummary(search)}
        </span>
        <Jump label="Previous match" isIdle={isIdle} onClick={() => onJump(-1)}>
          <IconChevronUp size={16} />
        </Jump>
        <Jump label="Next match" isIdle={isIdle} onClick={() => onJump(1)}>
          <IconChevronDown size={16} />
        </Jump>
      </span>
      {children}
    </search>
  );
}

function Jump(props: { label: string; isIdle: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <Tooltip label={props.label}>
      <ActionIcon
        className={classes.jumpTo}
        size={28}
        aria-label={props.label}
        disabled={props.isIdle}
        onClick={props.onClick}
      >
        {props.children}
      </ActionIcon>
    </Tooltip>
  );
}
