import { createContext, useContext, useEffect, useEffectEvent, useSyncExternalStore } from "react";
import { type Action, ActionRegistry } from "./registry";

/** The registry of the page. */
export const ActionsContext = createContext(new ActionRegistry());

/** Offers actions for as long as the component is there; each runs what it was given last. */
export function useActions(actions: readonly Action[]) {
  const registry = useContext(ActionsContext);
  const run = useEffectEvent((id: string) => actions.find((action) => action.id === id)?.run());
  // What a reader sees of them; functions are new with every render and mean the same.
  const shown = JSON.stringify(actions);
  useEffect(() => {
    const stable = JSON.parse(shown) as Omit<Action, "run">[];
    return registry.add(stable.map((action) => ({ ...action, run: () => run(action.id) })));
  }, [registry, shown]);
}

/** Every action that is offered now. */
export function useAllActions(): readonly Action[] {
  const registry = useContext(ActionsContext);
  return useSyncExternalStore(registry.subscribe, registry.all);
}
