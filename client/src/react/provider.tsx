import { createContext, type ReactNode, useContext, useMemo, useRef } from 'react';
import {
  createOverviewFeed,
  createStatusFeed,
  type Feed,
  type PipelineStatus,
  type PipelineSummary,
  type StatusFeedOptions,
} from '../feed';

/** What is watched, where it is not the provider's. */
export interface Watched {
  pipeline?: string | undefined;
  sources?: 'worst' | 'all' | undefined;
}

/** The feeds of a server, each created once, however many components look. They connect only while one does. */
export interface Feeds {
  status(watched: Watched): Feed<PipelineStatus>;
  overview(): Feed<readonly PipelineSummary[]>;
}

export function createFeeds(options: StatusFeedOptions): Feeds {
  const statuses = new Map<string, Feed<PipelineStatus>>();
  let overview: Feed<readonly PipelineSummary[]> | undefined;
  return {
    status({ pipeline = options.pipeline ?? 'default', sources = options.sources ?? 'worst' }) {
      const key = `${sources} ${pipeline}`;
      const feed = statuses.get(key) ?? createStatusFeed({ ...options, pipeline, sources });
      statuses.set(key, feed);
      return feed;
    },
    overview() {
      overview ??= createOverviewFeed(options);
      return overview;
    },
  };
}

const Context = createContext<Feeds | null>(null);

/** Of the page's own origin, for components without a provider. Created late: a server that renders has no feeds. */
let own: Feeds | undefined;

export function useFeeds(): Feeds {
  const given = useContext(Context);
  if (given) return given;
  own ??= createFeeds({});
  return own;
}

export interface PipewatchProviderProps extends StatusFeedOptions {
  children?: ReactNode;
  /** Feeds that were created elsewhere, instead of the options. */
  feeds?: Feeds | undefined;
}

/** Says which server the components below watch, and how. A new `url`, `format` or `interval` makes new feeds. */
export function PipewatchProvider({ children, feeds, ...options }: PipewatchProviderProps) {
  // A provider of tokens that is written in line is another function with each rendering.
  const latest = useRef(options);
  latest.current = options;
  const { url, format, interval, pipeline, sources } = options;
  const made = useMemo(() => {
    const { token, ...rest } = latest.current;
    const current = (again: boolean) => {
      const now = latest.current.token;
      return typeof now === 'function' ? now(again) : now;
    };
    return createFeeds({
      ...rest,
      url,
      format,
      interval,
      pipeline,
      sources,
      token: typeof token === 'function' ? current : token,
    });
  }, [url, format, interval, pipeline, sources]);
  return <Context.Provider value={feeds ?? made}>{children}</Context.Provider>;
}
