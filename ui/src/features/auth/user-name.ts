import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { plainText } from "@/lib/plain-text";
import { useSession } from "./session";

/** A user; asked for once, names do not change. */
const userQuery = (id: string) =>
  queryOptions({
    queryKey: keys.user(id),
    queryFn: ({ signal }) => load(api.GET("/api/users/{id}", { params: { path: { id } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });

/** The name of a user; null where this page may not know it. */
export function useUserName(id: string | null): string | null {
  const { id: own, username, role } = useSession().value;
  const isOther = id !== null && id !== own;
  const other = useQuery({ ...userQuery(id ?? ""), enabled: isOther && role === "admin" });
  return isOther ? (other.data?.value.username ?? null) : id && username;
}

/** Who did something, as the log has it (`user:ID`, `agent:NAME`, `system`), in words. */
export function useActorText(actor: string): string {
  const userId = actor.startsWith("user:") ? actor.slice("user:".length) : null;
  const name = useUserName(userId);
  if (userId !== null) return name ?? "another user";
  return plainText(actor.replace(/^agent:/, "agent "));
}
