import { useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useCallback } from "react";
import { backTo } from "@/features/auth/session";

/** Leads to the login; after an expired one, back to the same page. */
export function useSignedOut() {
  const router = useRouter();
  const client = useQueryClient();
  return useCallback(
    (how: "expired" | "deliberately" = "expired") => {
      // Every request that was under way tells the same.
      if (router.latestLocation.pathname === "/login") return;
      const next = how === "expired" ? backTo(router.latestLocation.href) : undefined;
      void router.navigate({ to: "/login", search: { next } }).then(() => client.clear());
    },
    [router, client],
  );
}
