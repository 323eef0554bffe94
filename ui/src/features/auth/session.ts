import { type QueryClient, queryOptions, useSuspenseQuery } from "@tanstack/react-query";
import { redirect } from "@tanstack/react-router";
import { api, type Loaded, load, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ApiError } from "@/api/problem";

/** Who is logged in, at the position from which the live stream begins. */
export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: (): Promise<Loaded<Schemas["Me"]>> => load(api.GET("/api/users/me")),
});

/** Whether somebody can log in at all yet. */
export const setupQuery = queryOptions({
  queryKey: keys.setup,
  queryFn: () => load(api.GET("/api/setup/status")),
  staleTime: 0,
});

/** Lets nobody pass who is not logged in; afterwards they come back to where they wanted to go. */
export async function requireSession(client: QueryClient, href: string) {
  try {
    await client.ensureQueryData(sessionQuery);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) throw error;
    const setup = await client.fetchQuery(setupQuery);
    if (!setup.value.setup_completed) throw redirect({ to: "/setup" });
    throw redirect({ to: "/login", search: { next: backTo(href) } });
  }
}

/** Who is logged in; only inside of the shell. */
export function useSession(): Loaded<Schemas["Me"]> {
  return useSuspenseQuery(sessionQuery).data;
}

/** Where to go after a login: a page of ours, and nothing for the first one. */
export function backTo(href: string | undefined): string | undefined {
  const isOurs = href?.startsWith("/") && !href.startsWith("//") && !href.startsWith("/\\");
  return isOurs && href !== "/" && !href?.startsWith("/login") ? href : undefined;
}
