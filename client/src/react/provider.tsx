import { createContext, type ReactNode, useContext, useMemo, useRef } from 'react';
import {
  createOverviewFeed,
  createStatusFeed,
  type Feed,
  type PipelineStatus,
  type PipelineSummary,
  type StatusFeedOptions,
} from '../feed';

/** A pipeline and its source list. Anything omitted is taken from the provider. */
export interface PipelineSelection {
  pipeline?: string | undefined;
  sources?: 'worst' | 'all' | undefined;
}

/** The feeds of one server. Each is created once and shared by all components that use it. */
export interface Feeds {
  status(selection: PipelineSelection): Feed<PipelineStatus>;
  overview(): Feed<readonly PipelineSummary[]>;
}

export function createFeeds(options: StatusFeedOptions): Feeds {
  const statusFeeds = new Map<string, Feed<PipelineStatus>>();
  let overviewFeed: Feed<readonly PipelineSummary[]> | undefined;
  return {
    status({ pipeline = options.pipeline ?? 'default', sources = options.sources ?? 'worst' }) {
      const key = `${sources} ${pipeline}`;
      const feed = statusFeeds.get(key) ?? createStatusFeed({ ...options, pipeline, sources });
      statusFeeds.set(key, feed);
      return feed;
    },
    overview() {
      overviewFeed ??= createOverviewFeed(options);
      return overviewFeed;
    },
  };
}

const Context = createContext<Feeds | null>(null);
/** Feeds of the page's origin, for components without a provider. Created on first use, since a rendering server needs none. */
let defaultFeeds: Feeds | undefined;

export function useFeeds(): Feeds {
  const provided = useContext(Context);
  if (provided) return provided;
  defaultFeeds ??= createFeeds({});
  return defaultFeeds;
}

export interface PipewatchProviderProps extends StatusFeedOptions {
  children?: ReactNode;
  /** Existing feeds, used instead of the options. */
  feeds?: Feeds | undefined;
}

/** Sets the server and the options for the components below. Changing `url`, `api` or `interval` creates new feeds. */
export function PipewatchProvider({ children, feeds, ...options }: PipewatchProviderProps) {
  // An inline token provider is a new function on every render, which must not create new feeds.
  const latest = useRef(options);
  latest.current = options;
  const { url, api, interval, pipeline, sources } = options;
  const created = useMemo(() => {
    const { token, ...rest } = latest.current;
    const latestToken = (wasRejected: boolean) => {
      const current = latest.current.token;
      return typeof current === 'function' ? current(wasRejected) : current;
    };
    return createFeeds({
      ...rest,
      url,
      api,
      interval,
      pipeline,
      sources,
      token: typeof token === 'function' ? latestToken : token,
    });
  }, [url, api, interval, pipeline, sources]);
  return <Context.Provider value={feeds ?? created}>{children}</Context.Provider>;
}
