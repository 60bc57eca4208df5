import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Connection, Feed, FeedSnapshot, PipelineStatus, PipelineSummary } from '../feed';
import { type PipelineSelection, useFeeds } from './provider';

/** A feed's snapshot; renders again on every change. The feed is connected while the component is mounted. */
export function useFeed<T>(feed: Feed<T>): FeedSnapshot<T> {
  return useSyncExternalStore(feed.subscribe, feed.getSnapshot, feed.getSnapshot);
}

export interface StatusFeed {
  /** The newest status; null before the first. It is kept when the connection is lost. */
  readonly status: PipelineStatus | null;
  /** When the server last confirmed the status: milliseconds since 1970. */
  readonly receivedAt: number | null;
  readonly connection: Connection;
  /** Polls now. @throws FeedError */
  refresh(): Promise<PipelineStatus>;
}

/** A pipeline's status with the state of its connection. */
export function useStatusFeed(selection: PipelineSelection = {}): StatusFeed {
  const feed = useFeeds().status(selection);
  const { value, receivedAt, connection } = useFeed(feed);
  return { status: value, receivedAt, connection, refresh: feed.refresh };
}

/** A pipeline's newest status; null before the first. */
export function usePipelineStatus(pipeline?: string): PipelineStatus | null {
  return useStatusFeed({ pipeline }).status;
}

/** The connection alone: the component does not render again when only the status changes. */
export function useConnection(pipeline?: string): Connection {
  const feed = useFeeds().status({ pipeline });
  const getConnection = () => feed.getSnapshot().connection;
  return useSyncExternalStore(feed.subscribe, getConnection, getConnection);
}

/** All pipelines in short. */
export function useOverview(): FeedSnapshot<readonly PipelineSummary[]> {
  return useFeed(useFeeds().overview());
}

/** Whole seconds since a time in milliseconds, updated every second; null without a time. */
export function useAge(time: number | null): number | null {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return time === null ? null : Math.max(0, Math.floor((now - time) / 1_000));
}
