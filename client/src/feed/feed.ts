import { type Connection, describeConnection } from './connection';
import { type FeedEvent, initialState, liveRank, type Settings, step } from './machine';
import type { Operation } from './operation';
import { FeedError, type Problem, problem, problemFromError } from './problem';
import type { Link, Poll, Transport } from './transport';

/** The state of a feed. The same object until something changes. */
export interface FeedSnapshot<T> {
  /** The newest value; null before the first. It is kept when the connection is lost. */
  readonly value: T | null;
  /** When the server last confirmed the value, by this machine's clock: milliseconds since 1970. */
  readonly receivedAt: number | null;
  readonly connection: Connection;
}

/** A token, or a function that returns one. It is called again after the server rejected a token, with `wasRejected`. */
export type TokenProvider =
  | string
  | ((wasRejected: boolean) => string | null | undefined | Promise<string | null | undefined>);

/** Clock, timers and randomness, replaceable in tests. */
export interface Environment {
  now(): number;
  random(): number;
  setTimeout(callback: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface FeedOptions {
  /** Sent as `Authorization: Bearer`. */
  token?: TokenProvider | undefined;
  /** Called on every change of the connection, for support. */
  log?: ((message: string, detail?: unknown) => void) | undefined;
  /**
   * How often the server sends a message when nothing changes, in milliseconds. The feed polls this often, and gives up a
   * stream after three intervals of silence.
   * @default 5000
   */
  interval?: number | undefined;
  environment?: Environment | undefined;
}

/** A value that is kept up to date. It connects for its first listener, and disconnects 1 s after the last is removed. */
export interface Feed<T> {
  /** @returns a function that removes the listener */
  subscribe(listener: () => void): () => void;
  getSnapshot(): FeedSnapshot<T>;
  /** Polls now, and retries transports that were given up. @throws FeedError */
  refresh(): Promise<T>;
  /**
   * Runs another subscription on the feed's stream. It restarts whenever the feed opens another stream, and is inactive
   * while the feed polls or has no connection.
   *
   * @returns a function that ends it
   */
  subscribeAlso<E>(subscription: SideSubscription<E>): () => void;
  /** Closes the feed permanently. */
  close(): void;
}

/** A subscription that shares the stream of a feed. */
export interface SideSubscription<E> {
  readonly query: string;
  /** Called on each start, so that it can resume after the last event. */
  variables(): Record<string, unknown>;
  onData(data: E): void;
  /** Called on each start and end. While inactive, its events must be polled for. */
  onActive(isActive: boolean): void;
}

/** Long enough for a component that unmounts and mounts again, as in React's StrictMode. */
const IDLE_CLOSE_DELAY = 1_000;
const POLL_TIMEOUT = 10_000;

const DEFAULT_ENVIRONMENT: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as number),
};

/** Runs the state machine: executes its effects and notifies the listeners. */
export function createFeed<T>(
  operation: Pick<Operation<T>, 'compare'>,
  streams: readonly Transport<T>[],
  poll: Poll<T>,
  { token, log, interval = 5_000, environment = DEFAULT_ENVIRONMENT }: FeedOptions = {},
): Feed<T> {
  const settings: Settings = {
    interval,
    maxTokenRefreshes: typeof token === 'function' ? 5 : 0,
    streams: streams.map(({ supportsPing, heartbeatTimeout }) => ({
      supportsPing,
      timeout: Math.max(3 * interval, heartbeatTimeout),
    })),
  };
  const names = streams.map(({ name }) => name);
  const listeners = new Set<() => void>();
  const timers = new Map<string, unknown>();
  const links = new Map<number, { link?: Link }>();
  const sideLinks = new Map<SideSubscription<unknown>, Link | undefined>();
  let activeLink: Link | undefined;
  let state = initialState(settings);
  let snapshot: FeedSnapshot<T> = { value: null, receivedAt: null, connection: describeConnection(state, names) };
  let pendingToken: Promise<string | null> | undefined;
  let wasTokenRejected = false;
  let pendingPoll: Promise<T> | undefined;
  let pollAborter: AbortController | undefined;
  let stopWatchingPage: (() => void) | undefined;
  let idleTimer: unknown;

  const getToken = () => {
    pendingToken ??= (async () =>
      (typeof token === 'function' ? await token(wasTokenRejected) : token) ?? null)().catch((error) => {
      pendingToken = undefined;
      throw error;
    });
    return pendingToken;
  };
  const publish = (change: Partial<FeedSnapshot<T>>) => {
    snapshot = { ...snapshot, ...change };
    for (const listener of [...listeners]) listener();
  };
  /** Values are shown in revision order, whichever transport they arrive on. */
  const accept = (value: T | null) => {
    const isNewer = value !== null && (snapshot.value === null || operation.compare(value, snapshot.value) > 0);
    publish({ receivedAt: environment.now(), ...(isNewer && { value }) });
  };

  const dispatch = (event: FeedEvent) => {
    const [next, effects] = step(state, event, settings, { now: environment.now(), random: environment.random });
    state = next;
    for (const effect of effects) {
      if (effect.type === 'open') openLink(effect.rank);
      else if (effect.type === 'close') closeLink(effect.rank, effect.abort);
      else if (effect.type === 'ping') links.get(effect.rank)?.link?.ping?.();
      else if (effect.type === 'setTimer')
        setTimer(effect.name, effect.delay, () => dispatch({ type: 'timer', name: effect.name }));
      else if (effect.type === 'clearTimer') clearTimer(effect.name);
      else if (effect.type === 'refreshToken') {
        pendingToken = undefined;
        wasTokenRejected = true;
      } else pollOnce().catch(() => {});
    }
    const link = links.get(liveRank(state))?.link;
    if (link !== activeLink) {
      activeLink = link;
      for (const subscription of sideLinks.keys()) reattach(subscription);
    }
    const connection = describeConnection(state, names);
    const { connection: previous } = snapshot;
    if (connection.state !== previous.state || connection.error !== previous.error) {
      log?.(connection.label, connection.error ?? undefined);
      publish({ connection });
    }
  };

  /** Moves a side subscription to the active link, if there is one. */
  const reattach = (subscription: SideSubscription<unknown>) => {
    sideLinks.get(subscription)?.close(false);
    const link = activeLink?.subscribe?.(
      { query: subscription.query, variables: subscription.variables() },
      {
        data: (data) => subscription.onData(data),
        activity() {},
        closed(reason) {
          log?.('side subscription ended', reason);
          subscription.onActive(false);
        },
      },
    );
    sideLinks.set(subscription, link);
    subscription.onActive(link !== undefined);
  };

  const clearTimer = (name: string) => {
    environment.clearTimeout(timers.get(name));
    timers.delete(name);
  };
  const setTimer = (name: string, delay: number, callback: () => void) => {
    clearTimer(name);
    timers.set(name, environment.setTimeout(callback, delay));
  };

  const openLink = (rank: number) => {
    const entry: { link?: Link } = {};
    links.set(rank, entry);
    const isCurrent = () => links.get(rank) === entry;
    const closed = (reason: Problem) => {
      if (!isCurrent()) return;
      links.delete(rank);
      log?.(`${names[rank]} closed`, reason);
      dispatch({ type: 'closed', rank, problem: reason });
    };
    getToken()
      .then((currentToken) => {
        const stream = streams[rank];
        if (!isCurrent() || !stream) return;
        entry.link = stream.open(
          {
            data(value) {
              if (!isCurrent()) return;
              accept(value);
              dispatch({ type: 'data', rank });
            },
            activity: () => isCurrent() && dispatch({ type: 'activity', rank }),
            closed,
          },
          currentToken,
          snapshot.value,
        );
      })
      .catch((error) => closed(problemFromError(error)));
  };
  const closeLink = (rank: number, abort: boolean) => {
    const entry = links.get(rank);
    links.delete(rank);
    entry?.link?.close(abort);
  };

  /** Concurrent callers share one poll. */
  const pollOnce = (): Promise<T> => {
    pendingPoll ??= (async () => {
      pollAborter = new AbortController();
      const timer = environment.setTimeout(() => pollAborter?.abort(), POLL_TIMEOUT);
      try {
        accept(await poll(await getToken(), pollAborter.signal, snapshot.value));
        dispatch({ type: 'polled' });
        return snapshot.value as T;
      } catch (error) {
        const reason = problemFromError(error);
        dispatch({ type: 'pollFailed', problem: reason });
        throw new FeedError(reason);
      } finally {
        environment.clearTimeout(timer);
        pendingPoll = undefined;
      }
    })();
    return pendingPoll;
  };

  const watchPage = () => {
    if (typeof window === 'undefined' || typeof document === 'undefined') return () => {};
    const online = () => dispatch({ type: 'online' });
    const offline = () => dispatch({ type: 'offline' });
    const visible = () => document.visibilityState === 'visible' && dispatch({ type: 'visible' });
    window.addEventListener('online', online);
    window.addEventListener('offline', offline);
    document.addEventListener('visibilitychange', visible);
    return () => {
      window.removeEventListener('online', online);
      window.removeEventListener('offline', offline);
      document.removeEventListener('visibilitychange', visible);
    };
  };

  const suspend = (type: 'suspend' | 'close') => {
    stopWatchingPage?.();
    stopWatchingPage = undefined;
    dispatch({ type });
    for (const name of timers.keys()) clearTimer(name);
    pollAborter?.abort();
  };

  return {
    subscribe(listener) {
      // Wrapped, so that the same listener can be added twice.
      const entry = () => listener();
      listeners.add(entry);
      environment.clearTimeout(idleTimer);
      if (state.phase === 'idle') {
        stopWatchingPage = watchPage();
        dispatch({ type: 'start' });
      }
      return () => {
        if (listeners.delete(entry) && listeners.size === 0)
          idleTimer = environment.setTimeout(() => suspend('suspend'), IDLE_CLOSE_DELAY);
      };
    },
    getSnapshot: () => snapshot,
    refresh() {
      if (state.phase === 'closed') return Promise.reject(new FeedError(problem('closed', 'the feed is closed')));
      // The provider may return another token now, even though the server has not rejected the last one.
      if (state.error?.kind === 'unauthorized') pendingToken = undefined;
      const value = pollOnce();
      dispatch({ type: 'refresh' });
      return value;
    },
    subscribeAlso<E>(given: SideSubscription<E>) {
      const subscription = { ...given } as SideSubscription<unknown>;
      reattach(subscription);
      return () => {
        sideLinks.get(subscription)?.close(false);
        sideLinks.delete(subscription);
      };
    },
    close() {
      environment.clearTimeout(idleTimer);
      suspend('close');
      listeners.clear();
      sideLinks.clear();
    },
  };
}
