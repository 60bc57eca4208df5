import { type Connection, connectionOf } from './connection';
import { begin, type Event, live, type Settings, step } from './machine';
import type { Operation } from './operation';
import { FeedError, ofError, type Problem, problem } from './problem';
import type { Link, Poll, Transport } from './transport';

/** What a feed knows. The same object until something changes. */
export interface FeedSnapshot<T> {
  /** The newest value; null before the first. It stays when the connection goes. */
  readonly value: T | null;
  /** When this machine last heard that the value is the newest: milliseconds since 1970. */
  readonly receivedAt: number | null;
  readonly connection: Connection;
}

/** A token, or who gives one. It is asked again when the server refuses the last, with `again`. */
export type TokenProvider =
  | string
  | ((again: boolean) => string | null | undefined | Promise<string | null | undefined>);

/** Time and chance, so that tests can have their own. */
export interface Environment {
  now(): number;
  random(): number;
  setTimeout(callback: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface FeedOptions {
  /** For the server's `Authorization: Bearer`. */
  token?: TokenProvider | undefined;
  /** Is told what happens, for support. */
  log?: ((what: string, detail?: unknown) => void) | undefined;
  /**
   * How often the server speaks without a change, in milliseconds: how often to poll, and a stream silent for three is dead.
   * @default 5000
   */
  interval?: number | undefined;
  environment?: Environment | undefined;
}

/** A value that is kept the newest there is. It connects for its first listener, and rests a second after the last has gone. */
export interface Feed<T> {
  /** @returns a function that ends it */
  subscribe(listener: () => void): () => void;
  getSnapshot(): FeedSnapshot<T>;
  /** Asks the server now, and tries again whatever was given up. @throws FeedError */
  refresh(): Promise<T>;
  /**
   * Runs another subscription over whatever stream the feed is on, anew with each stream, and none while there is none.
   *
   * @returns a function that ends it
   */
  follow<E>(beside: Beside<E>): () => void;
  /** For good. */
  close(): void;
}

/** A subscription that runs beside a feed's own. */
export interface Beside<E> {
  readonly subscription: string;
  /** Asked for whenever it begins: where the last one ended, so that nothing is missed between two streams. */
  variables(): Record<string, unknown>;
  data(data: E): void;
  /** While it does not run, what it would tell must be asked for. */
  running(isRunning: boolean): void;
}

/** A page that leaves and comes back at once, as in React's StrictMode, keeps its connection. */
const LINGER = 1_000;
const POLL_TIMEOUT = 10_000;

const REAL: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as number),
};

/** The machine with its hands: timers, links, listeners. */
export function createFeed<T>(
  operation: Pick<Operation<T>, 'compare'>,
  streams: readonly Transport<T>[],
  poll: Poll<T>,
  { token, log, interval = 5_000, environment = REAL }: FeedOptions = {},
): Feed<T> {
  const settings: Settings = {
    interval,
    renewals: typeof token === 'function' ? 5 : 0,
    streams: streams.map(({ pings, quiet }) => ({ pings, limit: Math.max(3 * interval, quiet) })),
  };
  const names = streams.map(({ name }) => name);
  const listeners = new Set<() => void>();
  const timers = new Map<string, unknown>();
  const links = new Map<number, { link?: Link }>();
  const followers = new Map<Beside<unknown>, Link | undefined>();
  let carrier: Link | undefined;
  let state = begin(settings);
  let snapshot: FeedSnapshot<T> = { value: null, receivedAt: null, connection: connectionOf(state, names) };
  let granted: Promise<string | null> | undefined;
  let isRefused = false;
  let polled: Promise<T> | undefined;
  let aborter: AbortController | undefined;
  let unlisten: (() => void) | undefined;
  let linger: unknown;

  const credentials = () => {
    granted ??= (async () => (typeof token === 'function' ? await token(isRefused) : token) ?? null)().catch(
      (error) => {
        granted = undefined;
        throw error;
      },
    );
    return granted;
  };

  const show = (change: Partial<FeedSnapshot<T>>) => {
    snapshot = { ...snapshot, ...change };
    for (const listener of [...listeners]) listener();
  };

  /** Never anything older after something newer, wherever it comes from. */
  const take = (value: T | null) => {
    const isNewer = value !== null && (snapshot.value === null || operation.compare(value, snapshot.value) > 0);
    show({ receivedAt: environment.now(), ...(isNewer && { value }) });
  };

  const emit = (event: Event) => {
    const [next, effects] = step(state, event, settings, { now: environment.now(), random: environment.random });
    state = next;
    for (const effect of effects) {
      if (effect.do === 'open') open(effect.rank);
      else if (effect.do === 'close') close(effect.rank, effect.abort);
      else if (effect.do === 'ping') links.get(effect.rank)?.link?.ping?.();
      else if (effect.do === 'timer')
        setTimer(effect.name, effect.after, () => emit({ type: 'timer', name: effect.name }));
      else if (effect.do === 'cancel') clearTimer(effect.name);
      else if (effect.do === 'renew') {
        granted = undefined;
        isRefused = true;
      } else ask().catch(() => {});
    }
    const link = links.get(live(state))?.link;
    if (link !== carrier) {
      carrier = link;
      for (const beside of followers.keys()) attend(beside);
    }
    const connection = connectionOf(state, names);
    const { connection: before } = snapshot;
    if (connection.state !== before.state || connection.error !== before.error) {
      log?.(connection.label, connection.error ?? undefined);
      show({ connection });
    }
  };

  /** Ends what a follower has, and begins anew where there is a stream for it. */
  const attend = (beside: Beside<unknown>) => {
    followers.get(beside)?.close(false);
    const own = carrier?.also?.(
      { subscription: beside.subscription, variables: beside.variables() },
      {
        data: (it) => beside.data(it),
        alive() {},
        closed(why) {
          log?.('what was followed has ended', why);
          beside.running(false);
        },
      },
    );
    followers.set(beside, own);
    beside.running(own !== undefined);
  };

  const clearTimer = (name: string) => {
    environment.clearTimeout(timers.get(name));
    timers.delete(name);
  };
  const setTimer = (name: string, after: number, callback: () => void) => {
    clearTimer(name);
    timers.set(name, environment.setTimeout(callback, after));
  };

  const open = (rank: number) => {
    const entry: { link?: Link } = {};
    links.set(rank, entry);
    const isCurrent = () => links.get(rank) === entry;
    const closed = (why: Problem) => {
      if (!isCurrent()) return;
      links.delete(rank);
      log?.(`${names[rank]} closed`, why);
      emit({ type: 'closed', rank, problem: why });
    };
    credentials()
      .then((it) => {
        const stream = streams[rank];
        if (!isCurrent() || !stream) return;
        entry.link = stream.open(
          {
            data(value) {
              if (!isCurrent()) return;
              take(value);
              emit({ type: 'data', rank });
            },
            alive: () => isCurrent() && emit({ type: 'heard', rank }),
            closed,
          },
          it,
        );
      })
      .catch((error) => closed(ofError(error)));
  };

  const close = (rank: number, abort: boolean) => {
    const entry = links.get(rank);
    links.delete(rank);
    entry?.link?.close(abort);
  };

  /** One poll at a time; who asks meanwhile shares it. */
  const ask = (): Promise<T> => {
    polled ??= (async () => {
      aborter = new AbortController();
      const timer = environment.setTimeout(() => aborter?.abort(), POLL_TIMEOUT);
      try {
        take(await poll(await credentials(), aborter.signal));
        emit({ type: 'polled' });
        return snapshot.value as T;
      } catch (error) {
        const why = ofError(error);
        emit({ type: 'pollFailed', problem: why });
        throw new FeedError(why);
      } finally {
        environment.clearTimeout(timer);
        polled = undefined;
      }
    })();
    return polled;
  };

  const watchPage = () => {
    if (typeof window === 'undefined' || typeof document === 'undefined') return () => {};
    const online = () => emit({ type: 'online' });
    const offline = () => emit({ type: 'offline' });
    const visible = () => document.visibilityState === 'visible' && emit({ type: 'visible' });
    window.addEventListener('online', online);
    window.addEventListener('offline', offline);
    document.addEventListener('visibilitychange', visible);
    return () => {
      window.removeEventListener('online', online);
      window.removeEventListener('offline', offline);
      document.removeEventListener('visibilitychange', visible);
    };
  };

  const rest = (type: 'pause' | 'close') => {
    unlisten?.();
    unlisten = undefined;
    emit({ type });
    for (const name of timers.keys()) clearTimer(name);
    aborter?.abort();
  };

  return {
    subscribe(listener) {
      // A function of its own for each call, so that the same listener may come twice.
      const own = () => listener();
      listeners.add(own);
      environment.clearTimeout(linger);
      if (state.phase === 'idle') {
        unlisten = watchPage();
        emit({ type: 'start' });
      }
      return () => {
        if (listeners.delete(own) && listeners.size === 0) linger = environment.setTimeout(() => rest('pause'), LINGER);
      };
    },
    getSnapshot: () => snapshot,
    refresh() {
      if (state.phase === 'closed') return Promise.reject(new FeedError(problem('unavailable', 'the feed is closed')));
      // By now there may be another token, without the server having been asked with the last.
      if (state.error?.kind === 'refused') granted = undefined;
      const answer = ask();
      emit({ type: 'refresh' });
      return answer;
    },
    follow<E>(given: Beside<E>) {
      const beside = { ...given } as Beside<unknown>;
      attend(beside);
      return () => {
        followers.get(beside)?.close(false);
        followers.delete(beside);
      };
    },
    close() {
      environment.clearTimeout(linger);
      rest('close');
      listeners.clear();
      followers.clear();
    },
  };
}
