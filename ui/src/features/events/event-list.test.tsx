import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen } from "@testing-library/react";
import * as v from "valibot";
import { afterEach, expect, it, vi } from "vitest";
import { LiveContext } from "@/live/context";
import type { LiveHub } from "@/live/hub";
import { RecentEvents } from "@/live/recent";
import { event } from "@/test/events";
import { EventFoot } from "./event-foot";
import { EventList } from "./event-list";
import { type EventSearch, eventSearch, filterOf } from "./search";
import { useEventLog } from "./use-event-log";

/** After how many positions the server closes a page. */
const SCAN_POSITIONS = 20_000;

/** How far is looked without being asked to. */
const LOOKED = 6 * SCAN_POSITIONS;

const END = 1_000_000;

afterEach(() => vi.unstubAllGlobals());

function Log({ search }: { search: EventSearch }) {
  const log = useEventLog(search);
  const goTo = Number(search.after) + 1;
  const nothing = () => {};
  return (
    <>
      <EventList
        filter={filterOf(search)}
        goTo={goTo}
        log={log}
        onOpen={nothing}
        onClear={nothing}
      />
      <p>{log.rows.map(({ position }) => position).join()}</p>
      <EventFoot log={log} onFollow={nothing} />
    </>
  );
}

/** Shows what is after a position of a log that has events at these positions alone. */
function showLog(after: number, ...positions: number[]) {
  vi.stubGlobal("fetch", async ({ url }: Request) => {
    const from = Number(new URL(url).searchParams.get("after"));
    const position = Math.min(from + SCAN_POSITIONS, END);
    const found = positions.filter((one) => one > from && one <= position);
    const items = found.map((one) => event(one, "Counted"));
    return Response.json({ items, position, is_end: position === END });
  });
  const hub = { recent: new RecentEvents(END), listen: () => () => {} } as unknown as LiveHub;
  const search = v.parse(eventSearch, { type: "Counted", after: String(after) });
  render(
    <MantineProvider>
      <QueryClientProvider client={new QueryClient()}>
        <LiveContext value={hub}>
          <Log search={search} />
        </LiveContext>
      </QueryClientProvider>
    </MantineProvider>,
  );
}

const lookOn = async () =>
  fireEvent.click(await screen.findByRole("button", { name: "Look further on" }));

it("says of the log only what was looked through, and looks on when asked to", async () => {
  showLog(0, 2 * LOOKED + 5);
  await screen.findByText("Nothing between position 1 and 120,000 fits");
  await lookOn();
  await screen.findByText("Nothing between position 1 and 240,000 fits");
  await lookOn();
  await screen.findByText(String(2 * LOOKED + 5));
});

it("says that nothing follows once the end of the log was reached", async () => {
  showLog(END - LOOKED - 1);
  await lookOn();
  await screen.findByText("Nothing from position 880,000 on");
  expect(screen.queryByRole("button", { name: "Look further on" })).toBeNull();
});

it("leads on from below the rows where nothing follows them for long", async () => {
  showLog(0, 10, LOOKED + SCAN_POSITIONS + 10);
  await screen.findByText("Looked on to 140,000", { exact: false });
  await lookOn();
  await screen.findByText(`10,${LOOKED + SCAN_POSITIONS + 10}`);
});
