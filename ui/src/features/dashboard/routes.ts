import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { appRoute } from "@/app/routes";

/** What the fleet does now, and how the last day went. */
export const dashboardRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/",
  staticData: { crumb: () => "Dashboard" },
  component: lazyRouteComponent(() => import("./dashboard-page"), "DashboardPage"),
});
