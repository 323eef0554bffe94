import { useContext, useEffect } from "react";
import { SHORTCUTS } from "@/app/preferences";
import { readStored } from "@/lib/storage";
import { keyName, match, SEQUENCE_MS_MAX } from "./registry";
import { ActionsContext } from "./use-actions";

/** Runs actions by their keys; mounted once. */
export function useKeyboard() {
  const registry = useContext(ActionsContext);
  useEffect(() => {
    let pressed: { key: string; at: number }[] = [];
    const onKeyDown = (event: KeyboardEvent) => {
      const key = keyName(event);
      if (key === null || event.defaultPrevented || !isMeant(event, key)) return;
      pressed = [...pressed, { key, at: event.timeStamp }].filter(
        ({ at }) => event.timeStamp - at < SEQUENCE_MS_MAX,
      );
      const whole = pressed.map((press) => press.key);
      let found = match(registry.all(), whole);
      if (found.type === "none" && whole.length > 1) {
        // Not the sequence that was begun; perhaps the beginning of another.
        pressed = pressed.slice(-1);
        found = match(registry.all(), [key]);
      }
      if (found.type === "wait") return;
      pressed = [];
      if (found.type === "run") {
        event.preventDefault();
        found.action.run();
      }
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [registry]);
}

/** Whether a press is meant for the page: not while somebody writes, or answers a dialog. */
function isMeant(event: KeyboardEvent, key: string): boolean {
  if (key.startsWith("mod+")) return true;
  if (readStored(SHORTCUTS) === "off") return false;
  const target = event.target instanceof HTMLElement ? event.target : null;
  const isWriting = target?.closest(
    "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]",
  );
  return !isWriting && !document.querySelector("[role=dialog], [role=menu]");
}
