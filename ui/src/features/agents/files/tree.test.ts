import { expect, it } from "vitest";
import {
  baseName,
  type FileEntry,
  foldersAbove,
  hiddenBecause,
  inOrder,
  joined,
  parentOf,
  TEXT_BYTES_MAX,
  textOf,
} from "./tree";

function entry(path: string, more: Partial<FileEntry> = {}): FileEntry {
  const modified_at = "2026-01-02T03:04:05Z";
  const plain = { kind: "file", size_bytes: 1, etag: '"1"', holds_credentials: false } as const;
  return { path, modified_at, ...plain, ...more };
}

it("takes a path apart and puts one together", () => {
  expect([baseName("a/b.md"), baseName("b.md")]).toEqual(["b.md", "b.md"]);
  expect([parentOf("a/b/c"), parentOf("c")]).toEqual(["a/b", ""]);
  expect([joined("", "c"), joined("a/b", "c")]).toEqual(["c", "a/b/c"]);
  expect(foldersAbove("a/b/c.md")).toEqual(["a", "a/b"]);
  expect(foldersAbove("c.md")).toEqual([]);
});

it("lists folders before files, each by name", () => {
  const entries = [
    entry("b"),
    entry("z", { kind: "folder" }),
    entry("a"),
    entry("y", { kind: "folder" }),
  ];
  expect(inOrder(entries).map(({ path }) => path)).toEqual(["y", "z", "a", "b"]);
});

it("shows text and nothing that is none", () => {
  const bytes = (...all: number[]) => new Uint8Array(all).buffer;
  expect(textOf(bytes(104, 195, 164))).toBe("hä");
  expect(textOf(bytes())).toBe("");
  expect(textOf(bytes(0xff, 0xfe))).toBeNull();
  expect(textOf(bytes(65, 0, 66))).toBeNull();
});

it("says why a file is not shown", () => {
  expect(hiddenBecause(entry("a"))).toBeNull();
  expect(hiddenBecause(entry("a", { size_bytes: TEXT_BYTES_MAX }))).toBeNull();
  expect(hiddenBecause(entry("a", { size_bytes: TEXT_BYTES_MAX + 1 }))).toMatch(/too large/);
  expect(hiddenBecause(entry(".env", { holds_credentials: true }))).toMatch(/credentials/);
  expect(hiddenBecause(entry("p", { kind: "other" }))).toMatch(/pipe/);
});
