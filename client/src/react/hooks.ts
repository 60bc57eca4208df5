import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Connection, Feed, FeedSnapshot, PipelineStatus, PipelineSummary } from '../feed';
import { useFeeds, type Watched } from './provider';

/** A feed's snapshot, and a new one whenever it changes. The feed is connected while a component looks. */
export function useFeed<T>(feed: Feed<T>): FeedSnapshot<T> {
  return useSyncExternalStore(feed.subscribe, feed.getSnapshot, feed.getSnapshot);
}

/** What a component has of a pipeline. */
export interface StatusFeed {
  /** The newest status; null before the first. It stays when the connection goes. */
  readonly status: PipelineStatus | null;
  /** When it was last known to be the newest: milliseconds since 1970. */
  readonly receivedAt: number | null;
  readonly connection: Connection;
  /** Asks the server now. @throws FeedError */
  refresh(): Promise<PipelineStatus>;
}

/** A pipeline with its connection. */
export function useStatusFeed(watched: Watched = {}): StatusFeed {
  const feed = useFeeds().status(watched);
  const { value, receivedAt, connection } = useFeed(feed);
  return { status: value, receivedAt, connection, refresh: feed.refresh };
}

/** A pipeline's newest status; null before the first. */
export function usePipelineStatus(pipeline?: string): PipelineStatus | null {
  return useStatusFeed({ pipeline }).status;
}

/** How a pipeline's feed is connected. A component that uses it alone is not rendered for each status. */
export function useConnection(pipeline?: string): Connection {
  const feed = useFeeds().status({ pipeline });
  const get = () => feed.getSnapshot().connection;
  return useSyncExternalStore(feed.subscribe, get, get);
}

/** All pipelines with the worst of each. */
export function useOverview(): FeedSnapshot<readonly PipelineSummary[]> {
  return useFeed(useFeeds().overview());
}

/** Whole seconds since an instant, counting on; null without one. */
export function useAge(instant: number | null): number | null {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return instant === null ? null : Math.max(0, Math.floor((now - instant) / 1_000));
}
