import type { QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, Outlet } from "@tanstack/react-router";
import { requireSession } from "@/features/auth/session";
import { RouteError } from "./route-error";
import { Shell } from "./shell/shell";

declare module "@tanstack/react-router" {
  interface StaticDataRouteOption {
    /** What the breadcrumb calls the page, from the parameters of its path. */
    crumb?: (params: Record<string, string>) => string;
  }
}

/** What routes may use before they are drawn. */
export interface RouterContext {
  readonly client: QueryClient;
}

/** The root of all pages. */
export const rootRoute = createRootRouteWithContext<RouterContext>()({ component: Outlet });

/** The parent of every page that needs a login: it stands in the shell. */
export const appRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: "app",
  beforeLoad: ({ context, location }) => requireSession(context.client, location.href),
  component: Shell,
  errorComponent: RouteError,
});
