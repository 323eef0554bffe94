import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { type FileEntry, hiddenBecause, textOf } from "./tree";

/** How many entries of a folder are read at once. */
const PAGE_ENTRIES = 200;

/** A file as far as it can be shown. */
export interface OpenFile {
  readonly entry: FileEntry;
  /** Its text, or why there is none to show. */
  readonly content: { readonly text: string } | { readonly hidden: string };
  /** The version that the text is of. */
  readonly etag: string;
}

/** A folder of the workspace, page by page. */
export function folderQuery(name: string, path: string) {
  return infiniteQueryOptions({
    queryKey: keys.agents.folder(name, path),
    queryFn: async ({ pageParam, signal }) => {
      const query = {
        path,
        limit: PAGE_ENTRIES,
        ...(pageParam === null ? {} : { cursor: pageParam }),
      };
      const params = { path: { name }, query };
      return (await load(api.GET("/api/agents/{name}/files", { params, signal }))).value;
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

/** One file with its text, if it has one that can be shown. */
export function fileQuery(name: string, path: string) {
  return queryOptions({
    queryKey: keys.agents.file(name, path),
    queryFn: async ({ signal }): Promise<OpenFile> => {
      const params = { path: { name }, query: { path } };
      const found = await load(api.GET("/api/agents/{name}/files", { params, signal }));
      const entry = found.value.file;
      const hidden = hiddenBecause(entry);
      if (hidden !== null) return { entry, content: { hidden }, etag: entry.etag };
      const call = api.GET("/api/agents/{name}/files/download", {
        params,
        signal,
        parseAs: "arrayBuffer",
      });
      const bytes = (await load(call)).value as unknown as ArrayBuffer;
      const etag = (await call).response.headers.get("etag") ?? entry.etag;
      const text = textOf(bytes);
      const content = text === null ? { hidden: "It is no text. Download it instead." } : { text };
      return { entry, content, etag };
    },
    // A text that is being edited is not replaced behind one's back.
    refetchOnWindowFocus: false,
  });
}

/** Where a file is downloaded. */
export function downloadHref(name: string, path: string): string {
  return `/api/agents/${encodeURIComponent(name)}/files/download?path=${encodeURIComponent(path)}`;
}

/** The condition under which a file is written. */
export type Condition = { readonly is: string } | { readonly isAbsent: true };

/** Writes a file in one piece; 412 when the condition does not hold. */
export function writeFile(
  name: string,
  path: string,
  content: Blob | string,
  condition: Condition,
) {
  const header = "is" in condition ? { "If-Match": condition.is } : { "If-None-Match": "*" };
  return api.PUT("/api/agents/{name}/files", {
    params: { path: { name }, query: { path }, header },
    body: content as string,
    bodySerializer: (body) => body,
    headers: { "Content-Type": "application/octet-stream" },
  });
}
