import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Chart } from "@/components/charts/chart";
import { ErrorState } from "@/components/error-state";
import { formatCount } from "@/lib/format";
import { useLiveHub } from "@/live/context";
import { useLiveData } from "@/live/hooks";
import type { AgentDetail } from "../fold";
import { slotHistoryQuery } from "../queries";
import classes from "./overview.module.css";
import { applyToSlots, type SlotHistory, slotsChart } from "./slot-history";
import type { Span } from "./spans";

const NOTHING: SlotHistory = { max_parallel_tasks: 0, points: [], is_cut: false, position: 0 };

/** How full the agent was, step by step, up to now. */
export function SlotsOverTime({ agent, span }: { agent: AgentDetail; span: Span }) {
  const { name, incarnation } = agent;
  const hub = useLiveHub();
  const options = slotHistoryQuery(name, span, hub.recent.floor);
  const query = useQuery(options);
  useLiveData<SlotHistory>(options.queryKey, query.data, (history, events) =>
    applyToSlots(incarnation, history, events),
  );
  const history = query.data?.value;
  const chart = useMemo(() => slotsChart(history ?? NOTHING, Date.now()), [history]);
  if (query.isError && !history) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  return (
    <div>
      <Chart
        title="Slots"
        data={chart}
        format={formatCount}
        empty={query.isPending ? "Loading" : "Nothing has taken a slot in this time"}
      />
      {history?.is_cut && (
        <p className={classes.none}>The beginning is missing: too much has happened since.</p>
      )}
    </div>
  );
}
