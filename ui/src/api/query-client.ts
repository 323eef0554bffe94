import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./problem";

/** How often a read is tried again when the server is away for a moment. */
const RETRIES_MAX = 2;

/** Makes the cache of everything that was read; what is in it is kept current by the live stream. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // Events keep the data current, so neither time nor focus makes it stale.
        staleTime: Number.POSITIVE_INFINITY,
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
        networkMode: "always",
        retry: (failures, error) =>
          failures < RETRIES_MAX && error instanceof ApiError && error.isTemporary,
      },
      mutations: { networkMode: "always" },
    },
  });
}
