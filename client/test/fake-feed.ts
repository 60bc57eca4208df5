import type { Feed, FeedSnapshot } from '../src/feed';

/** A feed whose snapshot the test sets. */
export function fakeFeed<T>() {
  const listeners = new Set<() => void>();
  let refreshes = 0;
  let snapshot: FeedSnapshot<T> = {
    value: null,
    receivedAt: null,
    connection: { state: 'reconnecting', label: 'Reconnecting…', error: null },
  };
  const update = (change: Partial<FeedSnapshot<T>>) => {
    snapshot = { ...snapshot, ...change };
    for (const listener of [...listeners]) listener();
  };
  const feed: Feed<T> = {
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    getSnapshot: () => snapshot,
    async refresh() {
      refreshes += 1;
      return snapshot.value as T;
    },
    subscribeAlso: () => () => {},
    close() {},
  };
  return {
    feed,
    update,
    setValue: (value: T) => update({ value, receivedAt: Date.now() }),
    listeners,
    refreshes: () => refreshes,
  };
}
