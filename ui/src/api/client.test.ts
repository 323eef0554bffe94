import { afterEach, expect, it, vi } from "vitest";
import { api, load, nextQuery } from "./client";

afterEach(() => vi.unstubAllGlobals());

function answerWith(body: unknown, init: ResponseInit = {}) {
  const headers = { "content-type": "application/json", ...init.headers };
  vi.stubGlobal("fetch", () =>
    Promise.resolve(new Response(JSON.stringify(body), { ...init, headers })),
  );
}

it("hands over the value with the position at which it holds and the way to the next page", async () => {
  answerWith([], {
    headers: { position: "63", link: '</api/executions?limit=2&cursor=abc>; rel="next"' },
  });
  expect(await load(api.GET("/api/executions"))).toEqual({
    value: [],
    position: 63,
    next: { limit: "2", cursor: "abc" },
  });
  expect(nextQuery(null)).toBeNull();
});

it("throws the problem that the server describes", async () => {
  const problem = {
    title: "Forbidden",
    status: 403,
    detail: "this needs an administrator",
    code: "missing_scope",
    request_id: "request",
    errors: [{ pointer: "/name", code: "invalid-field", detail: "too long" }],
    missing_scope: "admin",
  };
  answerWith(problem, { status: 403 });
  const error = await load(api.GET("/api/executions")).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    status: 403,
    code: "missing_scope",
    requestId: "request",
    members: { missing_scope: "admin" },
  });
});

it("throws one error of its own for whatever is no answer of the server", async () => {
  answerWith("<html>", { status: 502, statusText: "Bad Gateway" });
  await expect(load(api.GET("/api/executions"))).rejects.toMatchObject({
    status: 502,
    title: "Bad Gateway",
    isTemporary: true,
  });
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
  await expect(load(api.GET("/api/executions"))).rejects.toMatchObject({
    status: 0,
    title: "Server not reachable",
  });
});
