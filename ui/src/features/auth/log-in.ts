import { api, send } from "@/api/client";

/** Begins a session; the server keeps it in a cookie that no script can read. */
export async function logIn(username: string, password: string): Promise<void> {
  await send(
    api.POST("/api/token", {
      body: { username, password },
      bodySerializer: (body) => new URLSearchParams({ ...body } as Record<string, string>),
      headers: { "content-type": "application/x-www-form-urlencoded" },
    }),
  );
}

/** Ends the session. */
export async function logOut(): Promise<void> {
  await send(api.DELETE("/api/token"));
}
