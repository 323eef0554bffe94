import { TIME_ZONE } from "@/app/preferences";
import { formatAge } from "@/lib/format";
import { useStored } from "@/lib/storage";
import { zoned } from "@/lib/zoned";
import { useServerNow } from "./clock";

interface TimeProps {
  /** RFC 3339, as the API has it. */
  at: string;
  /** How much is written; the whole moment is in the title in any case. */
  format?: "time" | "moment" | "age";
}

/** A moment, in the time zone that was chosen: the only way that times are shown. */
export function Time({ at, format = "moment" }: TimeProps) {
  const [zone] = useStored(TIME_ZONE);
  const now = useServerNow(format === "age");
  const moment = zoned(at, zone);
  if (!moment) return <span>–</span>;
  const text = {
    time: () => moment.time,
    moment: () => (moment.isSameDay(now) ? moment.time : `${moment.day} ${moment.time}`),
    age: () => formatAge(now - moment.ms),
  }[format]();
  return (
    <time className="numeric" dateTime={at} title={moment.full}>
      {text}
    </time>
  );
}
