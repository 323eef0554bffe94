import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { appRoute } from "@/app/routes";

/** How the server is. */
export const systemRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/system",
  staticData: { crumb: () => "System" },
  component: lazyRouteComponent(() => import("./system-page"), "SystemPage"),
});
