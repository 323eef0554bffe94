import type { QueryClient } from "@tanstack/react-query";
import { type AnyRoute, createRouter } from "@tanstack/react-router";
import { agentsTree } from "@/features/agents/routes";
import { loginRoute, setupRoute } from "@/features/auth/routes";
import { dashboardRoute } from "@/features/dashboard/routes";
import { eventsRoute } from "@/features/events/routes";
import { compareRoute, executionRoute } from "@/features/execution/routes";
import { executionsRoute, executionsSection } from "@/features/executions/routes";
import { systemRoute } from "@/features/system/routes";
import { NotFound } from "./not-found";
import { RouteError } from "./route-error";
import { appRoute, rootRoute } from "./routes";
import { parseSearch, stringifySearch } from "./search-params";

const routeTree = rootRoute.addChildren([
  loginRoute,
  setupRoute,
  // A page is one line here; what the navigation shows of it is one line in `nav.ts`.
  appRoute.addChildren([
    dashboardRoute,
    agentsTree,
    executionsSection.addChildren([executionsRoute, executionRoute, compareRoute]),
    eventsRoute,
    systemRoute,
  ]),
]);

/** Makes the router of all pages. */
export function createAppRouter(client: QueryClient) {
  const router = createRouter({
    routeTree,
    context: { client },
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    defaultNotFoundComponent: NotFound,
    defaultErrorComponent: RouteError,
    scrollRestoration: true,
  });
  // The first page is on its way while the server is asked who is here.
  const routes: Readonly<Record<string, AnyRoute>> = router.routesById;
  for (const { routeId } of router.matchRoutes(router.latestLocation)) {
    const route = routes[routeId];
    if (route) void router.loadRouteChunk(route);
  }
  return router;
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
