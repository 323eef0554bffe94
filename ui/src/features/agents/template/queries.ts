import { queryOptions } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";

/** The templates of this server; folders that are not in the log, so they are read each time. */
export const templatesQuery = queryOptions({
  queryKey: keys.library.templates,
  queryFn: ({ signal }) => load(api.GET("/api/templates", { signal })),
  staleTime: 0,
  retry: false,
});
