import { describe, expect, it } from "vitest";
import { fileChange } from "./tool-view";

describe("a change of a file", () => {
  it("shows what an edit takes away and what it puts there", () => {
    const change = fileChange("Edit", {
      file_path: "tests/io.rs",
      old_string: "a\nsleep(10);\nb",
      new_string: "a\nwait_for(ready).await;\nb",
    });
    expect(change).toMatchObject({ path: "tests/io.rs", added: 1, removed: 1 });
    expect(change?.lines.map(({ sign, text }) => sign + text)).toEqual([
      " a",
      "-sleep(10);",
      "+wait_for(ready).await;",
      " b",
    ]);
  });

  it("is all new for a file that is written", () => {
    const change = fileChange("Write", { file_path: "x", content: "one\ntwo\n" });
    expect(change).toMatchObject({ added: 2, removed: 0 });
  });

  it("has every part of several edits", () => {
    const edits = [
      { old_string: "a", new_string: "b" },
      { old_string: "c", new_string: "d" },
    ];
    expect(fileChange("MultiEdit", { file_path: "x", edits })).toMatchObject({
      added: 2,
      removed: 2,
    });
  });

  it("is none for other tools, for input of other shapes, and for what is too long", () => {
    expect(fileChange("Bash", { command: "ls" })).toBeNull();
    expect(fileChange("Edit", { file_path: "x", old_string: 3, new_string: "b" })).toBeNull();
    expect(fileChange("Edit", null)).toBeNull();
    expect(fileChange("MultiEdit", { edits: [null, 3] })).toBeNull();
    expect(fileChange("Write", { file_path: "x", content: "x\n".repeat(200_000) })).toBeNull();
  });
});
