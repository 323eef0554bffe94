import { useLocation } from "@tanstack/react-router";
import { useEffect, useRef } from "react";

/** Keeps the link to where one is in view, in a navigation that is wider than the window. */
export function useActiveInView() {
  const nav = useRef<HTMLElement>(null);
  const path = useLocation({ select: ({ pathname }) => pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: again on each page
  useEffect(() => {
    const active = nav.current?.querySelector<HTMLElement>("[data-active]");
    if (!nav.current || !active) return;
    const hidden = active.offsetLeft + active.offsetWidth - nav.current.clientWidth;
    nav.current.scrollLeft = Math.max(0, hidden + active.offsetWidth);
  }, [path]);
  return nav;
}
