import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LogSource } from "./log-source";

const PLACE = { agent: "scout", id: "one", incarnation: "first" };
const TOTAL = 5_000;

/** What was asked for, as `after` of each request; the end of the log is -1. */
let asked: number[] = [];

function entry(seq: number) {
  return { seq, at: "2026-01-01T00:00:00Z", stream: "stdout", kind: "raw", blocks: [], raw: "x" };
}

/** A server that counts `TOTAL` lines and gives those for which `has` says so. */
function serve(has: (seq: number) => boolean, isUp = () => true) {
  vi.stubGlobal("fetch", (request: Request) => {
    const query = new URL(request.url).searchParams;
    const after = query.get("after");
    asked.push(after === null ? -1 : Number(after));
    if (!isUp()) return Promise.reject(new TypeError("no server"));
    const limit = Number(query.get("limit"));
    const first = after === null ? TOTAL - limit : Number(after);
    const seqs = Array.from({ length: limit }, (_, index) => first + index + 1);
    const entries = seqs.filter((seq) => seq <= TOTAL && has(seq)).map(entry);
    const body = JSON.stringify({ execution_id: "one", entries, total: TOTAL });
    return Promise.resolve(
      new Response(body, { headers: { "content-type": "application/json", position: "1" } }),
    );
  });
}

beforeEach(() => {
  asked = [];
  vi.useFakeTimers();
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Opens a log whose view wants the same lines whenever anything changes, as a page does. */
async function watched(first: number, last: number) {
  const source = new LogSource(PLACE);
  source.subscribe(() => source.want(first, last));
  await source.open();
  await vi.advanceTimersByTimeAsync(1);
  return source;
}

it("asks once for lines that the server counts and does not have, and goes on behind them", async () => {
  serve((seq) => seq > 500);
  const source = await watched(1, 1_500);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBeLessThan(6);
  expect(source.lines.missing(501, 1_500)).toBeNull();
  expect(source.lines.missing(1, 500)).not.toBeNull();
  source.close();
});

it("asks an absent server less and less often, and has all lines once it is back", async () => {
  let isUp = true;
  serve(
    () => true,
    () => isUp,
  );
  const source = new LogSource(PLACE);
  let wanted = 1;
  source.subscribe(() => source.want(wanted, wanted + 10));
  await source.open();
  await vi.advanceTimersByTimeAsync(1);
  isUp = false;
  wanted = 2_500;
  source.want(wanted, wanted + 10);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(source.state().error).not.toBeNull();
  expect(asked.length - before).toBeGreaterThan(1);
  expect(asked.length - before).toBeLessThan(40);
  isUp = true;
  await vi.advanceTimersByTimeAsync(20_000);
  expect(source.state().error).toBeNull();
  expect(source.lines.missing(wanted, wanted + 10)).toBeNull();
  source.close();
});
