// @ts-check

const hundredThousand = Array.from({ length: 100_000 }, (_, index) => `n${index + 1}`).join("\\n");

/** A task of the demo runtime that prints the lines `n1` to `n100000`. */
export const LINES_100_000 = `#!demo\nraw ${hundredThousand}\\n\nsay The end`;

const tenThousand = Array.from(
  { length: 10_000 },
  (_, index) => `tool Read {"file_path":"src/file-${index + 1}.rs"} => fn f() {}`,
).join("\n");

/** A task of the demo runtime that reads `src/file-1.rs` to `src/file-10000.rs`. */
export const TOOL_CALLS_10_000 = `#!demo\n${tenThousand}\nsay The end`;
