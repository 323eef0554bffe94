import type { components } from "./schema";

type Problem = components["schemas"]["Problem"];

/** What the server answers with 400 and above, or that it could not be reached at all. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  private constructor(
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** The kind of problem in a few words. */
    readonly title: string,
    /** What happened, and what to do about it. */
    readonly detail: string,
    /** The kind of problem for programs; null when the answer came from something in between. */
    readonly code: Problem["code"] | null,
    /** Finds the request in the server's own log. */
    readonly requestId: string | null,
    /** What exactly is wrong with the input, by JSON pointer or `?parameter`. */
    readonly errors: Problem["errors"],
    /** Members of single kinds, such as `execution_id`. */
    readonly members: Readonly<Record<string, unknown>>,
  ) {
    super(detail);
  }

  /** Makes the error of an answer, whatever its body is. */
  static fromResponse(response: Response, body: unknown): ApiError {
    if (isProblem(body)) {
      const { status, title, detail, code, request_id, errors } = body;
      return new ApiError(status, title, detail, code, request_id, errors, { ...body });
    }
    const detail = `The answer came from something between this page and the server.`;
    const title = response.statusText || `Status ${response.status}`;
    const requestId = response.headers.get("x-request-id");
    return new ApiError(response.status, title, detail, null, requestId, [], {});
  }

  /** Makes the error of a request that was not answered. */
  static unreachable(): ApiError {
    const detail = "The server did not answer. It may be restarting, or the network is down.";
    return new ApiError(0, "Server not reachable", detail, null, null, [], {});
  }

  /** Whether trying the same again may help. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503;
  }

  /** What is wrong with one field of a form, by its JSON pointer. */
  field(pointer: string): string | null {
    const detail = this.errors.find((error) => error.pointer === pointer)?.detail ?? null;
    // The field says its own name.
    const name = `${pointer.slice(1)}: `;
    return detail?.startsWith(name) ? detail.slice(name.length) : detail;
  }
}

/** What was refused of a form, by the JSON pointers of the fields that it has. */
export function refusals<Pointer extends string>(
  error: Error | null,
  pointers: readonly Pointer[],
): Partial<Record<Pointer, string>> {
  if (!(error instanceof ApiError)) return {};
  const found: Partial<Record<Pointer, string>> = {};
  for (const pointer of pointers) found[pointer] = error.field(pointer) ?? undefined;
  return found;
}

/** Whether any of the fields of a form was refused, so that nothing has to be said beside them. */
export function isRefusedAtField(found: Readonly<Record<string, string | undefined>>): boolean {
  return Object.values(found).some((detail) => detail !== undefined);
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "code" in body && "request_id" in body;
}
