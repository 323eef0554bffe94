import { expect, it } from "vitest";
import { fromZoned, toZonedInput, zoned } from "./zoned";

const AT = "2026-11-21T13:02:11.250Z";

it("says a moment in the zone that was chosen", () => {
  expect(zoned(AT, "UTC")).toMatchObject({ time: "13:02:11", day: "21 Nov" });
  expect(zoned(AT, "Asia/Kolkata")?.time).toBe("18:32:11");
  expect(zoned("no time", "UTC")).toBeNull();
});

it("reads what is entered in that zone, also around a change of the clocks", () => {
  expect(toZonedInput(AT, "Europe/Berlin")).toBe("2026-11-21T14:02");
  expect(fromZoned("2026-11-21T14:02", "Europe/Berlin")).toBe("2026-11-21T13:02:00.000Z");
  expect(fromZoned("2026-10-25T03:30", "Europe/Berlin")).toBe("2026-10-25T02:30:00.000Z");
  expect(fromZoned("", "UTC")).toBeUndefined();
});
