import { describe, expect, it } from "vitest";
import { entry } from "@/test/entries";
import { droppedText, savedText, truncatedText } from "./entry";

describe("a line of a log", () => {
  it("is saved as it was printed when nothing is missing", () => {
    expect(droppedText(entry(1))).toBeNull();
    expect(truncatedText(entry(1))).toBeNull();
    expect(savedText(entry(1))).toBe("line 1");
  });

  it("says what is missing before it and of it", () => {
    const dropped = { lines: 1_200, bytes: 3_456_000 };
    const cut = entry(7, { raw: "xx", truncated: 20_000_000, dropped });
    expect(savedText(cut).split("\n")).toEqual([
      "… 1,200 lines left out here, 3.5 MB: the run printed too much",
      "xx",
      "… this line goes on: of its 20.0 MB only the beginning was kept",
    ]);
    expect(droppedText(entry(8, { dropped: { lines: 1, bytes: 5 } }))).toMatch(/^… 1 line left/);
  });
});
