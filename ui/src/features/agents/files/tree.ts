import type { Schemas } from "@/api/client";

/** What a path of a workspace names. */
export type FileEntry = Schemas["File"];

/** The largest text that is shown on the page, in bytes. */
export const TEXT_BYTES_MAX = 1 << 20;

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The folder that a path is in; empty for the workspace itself. */
export function parentOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

/** A name below a folder. */
export function joined(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** Every folder on the way to a path, the outermost first, without the workspace itself. */
export function foldersAbove(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

/** Folders first, then by name, as people look for things. */
export function inOrder(entries: readonly FileEntry[]): FileEntry[] {
  const rank = (entry: FileEntry) => (entry.kind === "folder" ? 0 : 1);
  return entries.toSorted((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
}

/** The text that bytes are, or null when they are none. */
export function textOf(bytes: ArrayBuffer): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

/** Why a file is not shown; null when it can be. */
export function hiddenBecause(entry: FileEntry): string | null {
  if (entry.holds_credentials) return "It holds credentials, which are never shown.";
  if (entry.kind === "other") return "It is a device, a socket or a pipe.";
  if (entry.kind === "file" && entry.size_bytes > TEXT_BYTES_MAX) {
    return "It is too large to be shown here. Download it instead.";
  }
  return null;
}
