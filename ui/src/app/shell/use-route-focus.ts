import { useRouter } from "@tanstack/react-router";
import { useEffect } from "react";

/** Moves readers to the heading of a page that was navigated to, as a browser would do. */
export function useRouteFocus() {
  const router = useRouter();
  useEffect(
    () =>
      router.subscribe("onRendered", ({ pathChanged, fromLocation }) => {
        if (!pathChanged || !fromLocation) return;
        const target = document.querySelector<HTMLElement>("#main h1, #main");
        target?.focus({ preventScroll: true });
      }),
    [router],
  );
}
