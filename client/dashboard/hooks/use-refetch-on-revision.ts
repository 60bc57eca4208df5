import { useEffect, useRef } from 'react';

const DEFAULT_MIN_INTERVAL = 5_000;

/** Refetches when the revision changes, at most once per `minInterval` milliseconds. */
export function useRefetchOnRevision(
  revision: string,
  refetch: () => Promise<unknown>,
  minInterval = DEFAULT_MIN_INTERVAL,
) {
  const shownRevision = useRef(revision);
  const refetchedAt = useRef(0);
  useEffect(() => {
    if (shownRevision.current === revision) return;
    const delay = Math.max(0, refetchedAt.current + minInterval - Date.now());
    const timer = setTimeout(() => {
      shownRevision.current = revision;
      refetchedAt.current = Date.now();
      // On failure the old data stays, and the connection status shows the problem.
      refetch().catch(() => {});
    }, delay);
    return () => clearTimeout(timer);
  }, [revision, refetch, minInterval]);
}
