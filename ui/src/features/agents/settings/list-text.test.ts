import { expect, it } from "vitest";
import { listOfText, textOfList, wordsOfText } from "./list-text";

it("makes one text of a list and takes it apart again", () => {
  for (const words of [[], ["ops"], ["Bash(git log:*)", "Read"]]) {
    expect(listOfText(textOfList(words))).toEqual(words);
  }
  expect(wordsOfText(textOfList(["ops", "web"]))).toBe("ops, web");
});
