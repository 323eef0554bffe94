import createClient from "openapi-fetch";
import { ApiError } from "./problem";
import type { components, paths } from "./schema";

/** The shapes of the API by their names in `openapi.json`. */
export type Schemas = components["schemas"];

/** An answer together with the place in the log at which it holds. */
export interface Loaded<T> {
  readonly value: T;
  /** The position of the log up to which the value is current. */
  readonly position: number;
  /** The query of the next page, on lists that have one. */
  readonly next: Readonly<Record<string, string>> | null;
}

/** The typed client; every call goes through `load` or `send`. */
export const api = createClient<paths>({
  baseUrl: globalThis.location.origin,
  // Looked up with every call, so that tests can answer in its place.
  fetch: (request) => globalThis.fetch(request),
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

type ResponseListener = (response: Response) => void;

const listeners = new Set<ResponseListener>();

/** Tells about every answer, whatever its status; gives back how to end that. */
export function onResponse(listener: ResponseListener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Reads: waits for the answer of `api.GET(…)`, or throws an `ApiError`. */
export async function load<T>(call: Promise<Answer<T>>): Promise<Loaded<T>> {
  const { value, response } = await settle(call);
  return {
    value,
    position: Number(response.headers.get("position") ?? 0),
    next: nextQuery(response.headers.get("link")),
  };
}

/** Writes: waits for the answer of `api.POST(…)` and its like, or throws an `ApiError`. */
export async function send<T>(call: Promise<Answer<T>>): Promise<T> {
  return (await settle(call)).value;
}

async function settle<T>(call: Promise<Answer<T>>): Promise<{ value: T; response: Response }> {
  const answer = await call.catch((error: unknown) => {
    // What `fetch` throws without a network has no more to say than its type.
    throw error instanceof TypeError ? ApiError.unreachable() : error;
  });
  for (const listener of listeners) listener(answer.response);
  if (!answer.response.ok) throw ApiError.fromResponse(answer.response, answer.error);
  return { value: answer.data as T, response: answer.response };
}

/** Reads the query of the next page from a header such as `</api/executions?cursor=x>; rel="next"`. */
export function nextQuery(link: string | null): Record<string, string> | null {
  const target = link?.match(/<([^>]*)>\s*;\s*rel="?next"?/)?.[1];
  if (!target) return null;
  return Object.fromEntries(new URL(target, globalThis.location.origin).searchParams);
}
