import { createSpotlight, Spotlight, type SpotlightActionGroupData } from "@mantine/spotlight";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import type { Action } from "@/app/actions/registry";
import { useAllActions } from "@/app/actions/use-actions";
import { Kbd } from "@/components/kbd";
import classes from "./command-palette.module.css";

const [store, palette] = createSpotlight();

/** Everything that can be done on this page, found by a few letters. */
export function CommandPalette({ onClose }: { onClose: () => void }) {
  const actions = useAllActions();
  const [query, setQuery] = useState("");
  const answered = useRef("");
  useEffect(() => palette.open(), []);
  // The library selects when the words change; what is found later, as its page has loaded, it would not.
  // Once something was selected, nothing takes its place unasked: somebody is about to press Enter.
  useEffect(() => {
    const isOpen = actions.length > 0 && query !== "" && query !== answered.current;
    if (isOpen && selectFirst()) answered.current = query;
  }, [query, actions]);
  return (
    <Spotlight
      store={store}
      attributes={{ content: { "aria-label": "Command palette" } }}
      onSpotlightClose={onClose}
      shortcut={null}
      query={query}
      onQueryChange={setQuery}
      actions={grouped(actions.filter(({ id }) => id !== "app.palette"))}
      nothingFound="Nothing found"
      highlightQuery
      scrollable
      classNames={{ search: classes.search }}
      maxHeight={420}
      closeOnActionTrigger
      searchProps={{
        placeholder: "Search or run a command",
        "aria-label": "Search or run a command",
        leftSection: <IconSearch size={18} stroke={1.6} />,
      }}
    />
  );
}

/** Selects the first action unless one is selected, and says whether there is any. */
function selectFirst(): boolean {
  const list = document.getElementById(store.getState().listId);
  const first = list?.querySelector("[data-action]");
  if (!list || !first) return false;
  if (!list.querySelector("[data-selected]")) {
    first.setAttribute("data-selected", "true");
    store.updateState((state) => ({ ...state, selected: 0 }));
  }
  return true;
}

/** The palette's own form of actions. */
function grouped(actions: readonly Action[]): SpotlightActionGroupData[] {
  const groups = Map.groupBy(actions, (action) => action.group);
  return [...groups].map(([group, members]) => ({
    group,
    actions: members.map(({ id, label, keys, keywords, run }) => ({
      id,
      label,
      keywords,
      onClick: run,
      rightSection: keys ? <Kbd keys={keys} /> : undefined,
    })),
  }));
}
