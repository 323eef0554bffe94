import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import * as v from "valibot";
import { rootRoute } from "@/app/routes";
import { backTo } from "./session";

/** Logging in; `next` is where to go then. */
export const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/login",
  validateSearch: v.object({
    next: v.pipe(v.optional(v.string()), v.transform(backTo)),
  }),
  component: lazyRouteComponent(() => import("./login-page"), "LoginPage"),
});

/** The first run; the server prints a link with the `token` to its terminal. */
export const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/setup",
  validateSearch: v.object({ token: v.optional(v.string()) }),
  component: lazyRouteComponent(() => import("./setup-page"), "SetupPage"),
});
