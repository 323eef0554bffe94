import { useEffect, useState, useSyncExternalStore } from "react";
import type { Execution } from "@/features/executions/fold";
import { type LogPlace, LogSource } from "./log-source";

const NOTHING = new LogSource({ agent: "", id: "", incarnation: "" });

/** The log of an execution, open for as long as it is shown; live while the run is. */
export function useLog(execution: Execution) {
  const { agent_name: agent, id, incarnation } = execution;
  const source = useSource(agent, id, incarnation);
  const state = useSyncExternalStore(source.subscribe, source.state);
  const isLive = execution.status === "pending" || execution.status === "running";
  // A run that ends meanwhile is followed until its last line, which the stream knows.
  const [wasLive] = useState(isLive);
  const follows = (wasLive || isLive) && state.isLoaded;
  useEffect(() => {
    if (!follows) return;
    const stop = new AbortController();
    void source.follow(stop.signal);
    return () => stop.abort();
  }, [source, follows]);
  return { source, state, isLive };
}

function useSource(agent: string, id: string, incarnation: string): LogSource {
  const [source, setSource] = useState<LogSource>(NOTHING);
  useEffect(() => {
    const place: LogPlace = { agent, id, incarnation };
    const opened = new LogSource(place);
    setSource(opened);
    void opened.open();
    return () => opened.close();
  }, [agent, id, incarnation]);
  return source;
}
