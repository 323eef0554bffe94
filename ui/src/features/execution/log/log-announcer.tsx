import { useEffect, useEffectEvent, useRef, useState } from "react";
import { ANNOUNCE_EVERY_MS, announcement } from "./announcement";
import type { LogState } from "./log-source";

/** Tells readers what has come in a log, now and then: every line would be too much to hear. */
export function LogAnnouncer({ streamed }: Pick<LogState, "streamed">) {
  const [text, setText] = useState("");
  const told = useRef(streamed);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const tell = useEffectEvent(() => {
    timer.current = null;
    const { lines, failures } = told.current;
    setText(announcement(streamed.lines - lines, streamed.failures - failures));
    told.current = streamed;
  });
  const hasNews = streamed.lines > told.current.lines;
  useEffect(() => {
    if (hasNews && timer.current === null)
      timer.current = setTimeout(() => tell(), ANNOUNCE_EVERY_MS);
  }, [hasNews]);
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
    },
    [],
  );
  return (
    <div role="status" className="visually-hidden">
      {text}
    </div>
  );
}
