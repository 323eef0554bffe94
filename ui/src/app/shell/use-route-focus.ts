import { useRouter } from "@tanstack/react-router";
import { useEffect } from "react";

/**
 * Moves readers to the heading of a page that was navigated to, as a browser would do; or to the
 * part of it that the address names.
 */
export function useRouteFocus() {
  const router = useRouter();
  useEffect(
    () =>
      router.subscribe("onRendered", ({ pathChanged, fromLocation, toLocation }) => {
        if (!pathChanged || !fromLocation) return;
        const named = toLocation.hash === "" ? null : document.getElementById(toLocation.hash);
        const target = named ?? document.querySelector<HTMLElement>("#main h1, #main");
        target?.focus({ preventScroll: true });
      }),
    [router],
  );
}
