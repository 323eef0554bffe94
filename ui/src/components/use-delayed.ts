import { useEffect, useState } from "react";

/** How long a page waits before it says that it waits: faster answers never flicker. */
export const SKELETON_AFTER_MS = 150;

/** Whether `isWaiting` has been so for a while. */
export function useDelayed(isWaiting: boolean, afterMs = SKELETON_AFTER_MS): boolean {
  const [isDue, setDue] = useState(false);
  useEffect(() => {
    if (!isWaiting) return;
    const timer = setTimeout(() => setDue(true), afterMs);
    return () => {
      clearTimeout(timer);
      setDue(false);
    };
  }, [isWaiting, afterMs]);
  return isWaiting && isDue;
}
