import { useEffect, useRef } from 'react';

/** What changes all the time is asked for no more often, in milliseconds. */
const PAUSE = 5_000;

/** Asks again after a change, and not more often than with a pause. */
export function useFollowing(revision: string, refetch: () => Promise<unknown>, pause = PAUSE) {
  const shown = useRef(revision);
  const asked = useRef(0);
  useEffect(() => {
    if (shown.current === revision) return;
    const wait = Math.max(0, asked.current + pause - Date.now());
    const timer = setTimeout(() => {
      shown.current = revision;
      asked.current = Date.now();
      // What is shown stays; the connection says what is wrong.
      refetch().catch(() => {});
    }, wait);
    return () => clearTimeout(timer);
  }, [revision, refetch, pause]);
}
