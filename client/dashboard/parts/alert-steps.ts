import { useCallback, useEffect, useRef, useState } from 'react';
import type { Feed } from '../../src/feed';
import { AlertStepsDocument, type AlertStepsSubscription } from '../generated';

/**
 * Looks again whenever an alert takes a step, told over the feed's own connection. Who was away is told what it missed.
 *
 * @returns whether steps are told; else somebody must ask from time to time
 */
export function useAlertSteps(feed: Feed<unknown>, look: () => void): boolean {
  const [isTold, setTold] = useState(false);
  const last = useRef<string | null>(null);
  useEffect(
    () =>
      feed.follow<AlertStepsSubscription>({
        subscription: AlertStepsDocument,
        variables: () => ({ since: last.current }),
        data({ alertEvents }) {
          last.current = alertEvents.id;
          look();
        },
        running(isRunning) {
          setTold(isRunning);
          // What came before the first of the steps is in the list.
          if (isRunning) look();
        },
      }),
    [feed, look],
  );
  return isTold;
}

/** One question at a time, and another when something came meanwhile, of which the answer may not know. */
export function useLook(ask: () => Promise<unknown>): () => void {
  const state = useRef<'idle' | 'asking' | 'again'>('idle');
  return useCallback(() => {
    const isAsking = state.current !== 'idle';
    state.current = isAsking ? 'again' : 'asking';
    if (isAsking) return;
    const run = async () => {
      // What is shown stays; the connection says what is wrong.
      await ask().catch(() => {});
      const isDue = state.current === 'again';
      state.current = isDue ? 'asking' : 'idle';
      if (isDue) await run();
    };
    void run();
  }, [ask]);
}
