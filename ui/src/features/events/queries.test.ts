import { QueryClient } from "@tanstack/react-query";
import * as v from "valibot";
import { afterEach, expect, it, vi } from "vitest";
import { catchUp } from "@/live/catch-up";
import type { LiveHub } from "@/live/hub";
import { RecentEvents } from "@/live/recent";
import { event } from "@/test/events";
import { applyToEvents } from "./pages";
import { eventsQuery } from "./queries";
import { eventSearch, filterOf } from "./search";

afterEach(() => vi.unstubAllGlobals());

it("goes on with the live stream where a stream ended long ago", async () => {
  const body = { items: [event(7, "Counted")], position: 7, is_end: true };
  vi.stubGlobal("fetch", async () => Response.json(body));
  const recent = new RecentEvents(300);
  const search = v.parse(eventSearch, { stream: "execution:one", after: "5" });
  const options = eventsQuery(search, { recent } as LiveHub);
  const data = await new QueryClient().fetchInfiniteQuery(options);
  recent.push([event(301, "Counted"), event(302, "Counted", { stream_id: "two" })]);
  const next = catchUp(data, recent, (page, events) =>
    applyToEvents(filterOf(search), page, events),
  );
  expect(next).toMatchObject({
    pages: [{ value: { items: [{ position: 7 }, { position: 301 }] }, position: 302 }],
  });
});
