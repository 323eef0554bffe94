import { IconAlertOctagon, IconCircleCheck, IconHourglass, IconRefresh } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import type { StatusLook } from "@/components/status";
import { formatCount } from "@/lib/format";

/** A lag of fewer events than this is that of the moment. */
const LAG_EVENTS_MIN = 100;

/** How a read model is, in a word: stopped, being rebuilt, behind, or current. */
export function modelLook(model: Schemas["ProjectionHealth"], head: number): StatusLook {
  const { degraded, rebuilding, lag } = model;
  if (degraded) return { word: "Stopped", tone: "danger", icon: IconAlertOctagon };
  if (rebuilding !== null && rebuilding !== undefined) {
    const word = `Rebuilding, ${percentOf(rebuilding, head)} %`;
    return { word, tone: "active", icon: IconRefresh };
  }
  if (lag >= LAG_EVENTS_MIN) {
    return { word: `${formatCount(lag)} behind`, tone: "attention", icon: IconHourglass };
  }
  return { word: "Current", tone: "success", icon: IconCircleCheck };
}

/** How far a read model has got, in whole percent; all of it only when nothing is left. */
export function percentOf(position: number, head: number): number {
  if (head <= 0 || position >= head) return 100;
  return Math.max(0, Math.floor((position / head) * 100));
}
