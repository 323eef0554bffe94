import { type KeyboardEvent, type ReactNode, useRef } from "react";
import classes from "./execution.module.css";
import { TABS, type Tab } from "./routes";

const LABEL: Record<Tab, string> = {
  transcript: "Transcript",
  timeline: "Timeline",
  raw: "Raw log",
  io: "Input/Output",
  events: "Events",
};

interface TabsProps {
  tab: Tab;
  onTab: (tab: Tab) => void;
  children: ReactNode;
}

/** The parts of an execution, one at a time; arrows move between them. */
export function Tabs({ tab, onTab, children }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const next = neighbour(tab, event.key);
    if (next === null) return;
    event.preventDefault();
    onTab(next);
    list.current?.querySelector<HTMLElement>(`[data-tab="${next}"]`)?.focus();
  };
  return (
    <div className={classes.tabs}>
      <div ref={list} className={classes.list} role="tablist" onKeyDown={onKeyDown}>
        {TABS.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            data-tab={name}
            className={classes.tab}
            aria-selected={name === tab}
            aria-controls={name === tab ? "tab-panel" : undefined}
            tabIndex={name === tab ? 0 : -1}
            onClick={() => onTab(name)}
          >
            {LABEL[name]}
          </button>
        ))}
      </div>
      <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`} className={classes.panel}>
        {children}
      </div>
    </div>
  );
}

function neighbour(tab: Tab, key: string): Tab | null {
  const by = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
  if (by === 0) return null;
  const index = (TABS.indexOf(tab) + by + TABS.length) % TABS.length;
  return TABS[index] ?? null;
}
