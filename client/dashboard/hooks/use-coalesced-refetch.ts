import { useCallback, useRef } from 'react';

/** Runs one refetch at a time. Calls during a refetch cause one more, since its response may miss their change. */
export function useCoalescedRefetch(refetch: () => Promise<unknown>): () => void {
  const state = useRef<'idle' | 'loading' | 'stale'>('idle');
  return useCallback(() => {
    const isLoading = state.current !== 'idle';
    state.current = isLoading ? 'stale' : 'loading';
    if (isLoading) return;
    const run = async () => {
      // On failure the old data stays, and the connection status shows the problem.
      await refetch().catch(() => {});
      const isStale = state.current === 'stale';
      state.current = isStale ? 'loading' : 'idle';
      if (isStale) await run();
    };
    void run();
  }, [refetch]);
}
