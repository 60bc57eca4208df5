import { type Problem, problem } from './problem';

/**
 * The feed's state machine. It is pure: events in, effects out; time and randomness are passed in.
 *
 * Streams are ranked, best first. Polling ranks below them and runs whenever no stream is live, so that data keeps arriving
 * while the feed moves down or up the ranks. `target` is the rank being connected; equal to the number of streams, it means
 * that every stream has failed and only polling is left.
 */
export interface State {
  readonly phase: 'idle' | 'running' | 'stopped' | 'closed';
  readonly links: readonly (LinkState | null)[];
  /** Streams that are not retried. */
  readonly disabled: readonly boolean[];
  readonly target: number;
  /** The stream that was live last, tried first after an outage. */
  readonly preferred: number;
  /** Consecutive failed attempts to connect to the target. */
  readonly failedAttempts: number;
  /** Consecutive rounds of probing without success. */
  readonly failedProbes: number;
  /** Consecutive rejected tokens. */
  readonly rejectedTokens: number;
  readonly isPolling: boolean;
  /** Null before the first poll. */
  readonly lastPollSucceeded: boolean | null;
  /** Consecutive polls that did not reach the server. */
  readonly failedPolls: number;
  readonly isOnline: boolean;
  readonly error: Problem | null;
  /** Why a stream is disabled. */
  readonly disabledReason: Problem | null;
}

export interface LinkState {
  /** Whether it has delivered data. */
  readonly isLive: boolean;
  readonly lastMessageAt: number;
  readonly nextCheckAt: number;
}

export type FeedEvent =
  | { readonly type: 'start' | 'suspend' | 'close' | 'polled' | 'online' | 'offline' | 'visible' | 'refresh' }
  | { readonly type: 'data' | 'activity'; readonly rank: number }
  | { readonly type: 'closed'; readonly rank: number; readonly problem: Problem }
  | { readonly type: 'pollFailed'; readonly problem: Problem }
  | { readonly type: 'timer'; readonly name: string };

export type Effect =
  | { readonly type: 'open' | 'ping'; readonly rank: number }
  /** `abort`: the other side does not respond, so do not wait for it. */
  | { readonly type: 'close'; readonly rank: number; readonly abort: boolean }
  | { readonly type: 'setTimer'; readonly name: string; readonly delay: number }
  | { readonly type: 'clearTimer'; readonly name: string }
  | { readonly type: 'poll' | 'refreshToken' };

export interface Settings {
  /** How often the server sends a message when nothing changes, in milliseconds. */
  readonly interval: number;
  readonly streams: readonly {
    /** The longest silence before the stream is given up, in milliseconds. */
    readonly timeout: number;
    readonly supportsPing: boolean;
  }[];
  /** How many consecutive rejected tokens are replaced before the feed stops. */
  readonly maxTokenRefreshes: number;
}

export interface StepContext {
  readonly now: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Failed attempts after which the next transport is tried. */
export const MAX_ATTEMPTS = 5;
/** How long the first connection may take before the feed polls, in milliseconds. */
const FIRST_POLL_DELAY = 1_500;

export function initialState(settings: Settings): State {
  return {
    phase: 'idle',
    links: settings.streams.map(() => null),
    disabled: settings.streams.map(() => false),
    target: 0,
    preferred: 0,
    failedAttempts: 0,
    failedProbes: 0,
    rejectedTokens: 0,
    isPolling: false,
    lastPollSucceeded: null,
    failedPolls: 0,
    isOnline: true,
    error: null,
    disabledReason: null,
  };
}

/** From 1 s, doubling, to 20 s, plus up to half of that as jitter. */
export function backoff(failures: number, random: () => number): number {
  return Math.min(1_000 * 2 ** failures, 20_000) * (1 + random() / 2);
}

/** The rank of the stream that delivers data; -1 when none does. */
export function liveRank(state: State): number {
  return state.links.findIndex((link) => link?.isLive);
}

type Draft = { -readonly [Key in keyof State]: State[Key] extends readonly (infer Item)[] ? Item[] : State[Key] };

export function step(
  before: State,
  event: FeedEvent,
  settings: Settings,
  { now, random }: StepContext,
): [State, Effect[]] {
  const s: Draft = { ...before, links: [...before.links], disabled: [...before.disabled] };
  const effects: Effect[] = [];
  const pollingRank = s.links.length;

  const setTimer = (name: string, delay: number) => effects.push({ type: 'setTimer', name, delay });
  const clearTimers = (...names: string[]) =>
    effects.push(...names.map((name) => ({ type: 'clearTimer' as const, name })));
  /** The first enabled stream from `from` on, or `to` if all before it are disabled. */
  const nextEnabled = (from: number, to: number) => {
    let rank = from;
    while (rank < to && s.disabled[rank]) rank += 1;
    return rank;
  };
  const openLink = (rank: number) => {
    if (s.links[rank]) return;
    s.links[rank] = { isLive: false, lastMessageAt: now, nextCheckAt: now + settings.interval };
    effects.push({ type: 'open', rank });
    setTimer(`check${rank}`, settings.interval);
  };
  const closeLink = (rank: number, abort = false) => {
    if (!s.links[rank]) return;
    s.links[rank] = null;
    effects.push({ type: 'close', rank, abort });
    clearTimers(`check${rank}`);
  };
  const pollNow = () => {
    s.isPolling = true;
    clearTimers('poll');
    effects.push({ type: 'poll' });
  };
  const stop = (phase: State['phase'], error: Problem | null) => {
    for (const rank of s.links.keys()) closeLink(rank);
    clearTimers('poll', 'retry', 'probe');
    s.isPolling = false;
    s.phase = phase;
    s.error = error;
  };
  /** Returns whether the feed stops because of it. */
  const onUnauthorized = (reason: Problem) => {
    s.rejectedTokens += 1;
    effects.push({ type: 'refreshToken' });
    if (s.rejectedTokens > settings.maxTokenRefreshes) stop('stopped', reason);
    return s.phase === 'stopped';
  };
  const scheduleProbe = () => {
    const current = liveRank(s) < 0 ? pollingRank : liveRank(s);
    if (nextEnabled(0, current) < current) setTimer('probe', backoff(Math.min(s.failedProbes, 2) + 2, random));
    else clearTimers('probe');
  };
  /** Opens the next stream, from `from` on, that is better than the live one. */
  const probe = (from: number) => {
    const current = liveRank(s) < 0 ? pollingRank : liveRank(s);
    const rank = nextEnabled(from, current);
    if (rank < current) return openLink(rank);
    if (from > 0) s.failedProbes += 1;
    scheduleProbe();
  };
  /** Connects to the target or, when it is disabled, to the next; below the last stream it polls and probes. */
  const connectTo = (target: number) => {
    s.target = nextEnabled(target, pollingRank);
    s.failedAttempts = 0;
    for (const rank of s.links.keys()) if (rank !== s.target) closeLink(rank);
    if (s.target < pollingRank) return openLink(s.target);
    if (!s.isPolling) pollNow();
    scheduleProbe();
  };
  /** Skips the waiting times, since the network or the server may be back. */
  const retryNow = (isServerBack: boolean) => {
    if (liveRank(s) >= 0) {
      if (liveRank(s) > 0) probe(0);
      return;
    }
    clearTimers('retry', 'probe');
    if (s.target === pollingRank && !isServerBack) probe(0);
    else connectTo(isServerBack ? s.preferred : s.target);
  };

  const onData = (rank: number) => {
    const link = s.links[rank];
    if (!link) return;
    s.links[rank] = { ...link, lastMessageAt: now, isLive: true };
    if (link.isLive) return;
    for (const other of s.links.keys()) if (other !== rank) closeLink(other);
    s.target = s.preferred = rank;
    s.failedAttempts = s.failedProbes = s.rejectedTokens = s.failedPolls = 0;
    s.error = s.disabledReason;
    s.isPolling = false;
    clearTimers('poll', 'retry');
    scheduleProbe();
  };
  const onClosed = (rank: number, reason: Problem) => {
    const link = s.links[rank];
    if (!link) return;
    s.links[rank] = null;
    clearTimers(`check${rank}`);
    if (reason.kind === 'unauthorized' && onUnauthorized(reason)) return;
    if (reason.kind === 'fatal' || reason.kind === 'unsupported') s.disabled[rank] = true;
    if (reason.kind === 'fatal') s.disabledReason = reason;
    if (liveRank(s) >= 0 || s.target === pollingRank) return probe(rank + 1);

    if (reason.kind !== 'unsupported') s.error = reason;
    if (!s.isPolling) pollNow();
    if (s.disabled[rank]) return connectTo(rank);
    if (reason.kind === 'restart') return setTimer('retry', 1_000 + random() * 2_000);
    // The first rejected token may have expired since it was issued.
    if (reason.kind === 'unauthorized' && s.rejectedTokens === 1) return setTimer('retry', 0);
    if (link.isLive) return setTimer('retry', backoff(0, random));
    s.failedAttempts += 1;
    // Another transport would not find a missing pipeline either.
    if (s.failedAttempts >= MAX_ATTEMPTS && reason.kind !== 'notFound') return connectTo(rank + 1);
    setTimer('retry', backoff(Math.min(s.failedAttempts - 1, 5), random));
  };
  /** Pings a silent stream, and gives it up when it stays silent. */
  const checkLink = (rank: number) => {
    const link = s.links[rank];
    const stream = settings.streams[rank];
    if (!link || !stream) return;
    const silence = now - link.lastMessageAt;
    const canPing = link.isLive && stream.supportsPing;
    let { lastMessageAt } = link;
    if (silence >= stream.timeout) {
      // A check that is late by more than an interval means that this machine slept or throttled its timers: ping before giving up.
      if (!canPing || now - link.nextCheckAt <= settings.interval) {
        effects.push({ type: 'close', rank, abort: true });
        return onClosed(rank, problem('timeout', `no message for ${Math.round(silence / 1_000)} s`));
      }
      lastMessageAt = now - stream.timeout + settings.interval;
    }
    if (canPing && silence >= settings.interval * 0.9) effects.push({ type: 'ping', rank });
    const delay = Math.min(settings.interval, stream.timeout - (now - lastMessageAt));
    s.links[rank] = { ...link, lastMessageAt, nextCheckAt: now + delay };
    setTimer(`check${rank}`, delay);
  };
  const onPolled = () => {
    const wasUnreachable = s.failedPolls > 0 || s.lastPollSucceeded === false;
    s.lastPollSucceeded = true;
    s.failedPolls = 0;
    s.rejectedTokens = 0;
    if (!s.isPolling) return;
    if (s.target === pollingRank || s.error?.kind === 'notFound') s.error = s.disabledReason;
    setTimer('poll', settings.interval);
    if (wasUnreachable) retryNow(true);
  };
  const onPollFailed = (reason: Problem) => {
    if (!s.isPolling) return;
    s.lastPollSucceeded = false;
    s.error = reason;
    if (reason.kind === 'unauthorized' && onUnauthorized(reason)) return;
    if (reason.kind === 'fatal' && nextEnabled(0, pollingRank) === pollingRank) return stop('stopped', reason);
    if (reason.kind === 'notFound') {
      s.failedPolls = 0;
      return setTimer('poll', settings.interval);
    }
    s.failedPolls += 1;
    setTimer('poll', backoff(Math.min(s.failedPolls - 1, 5), random));
  };
  const onTimer = (name: string) => {
    if (name === 'poll') effects.push({ type: 'poll' });
    else if (name === 'firstPoll') liveRank(s) < 0 && !s.isPolling && pollNow();
    else if (name === 'retry') retryTarget();
    else if (name === 'probe') probe(0);
    else checkLink(Number(name.slice('check'.length)));
  };
  const retryTarget = () =>
    s.target < pollingRank && !s.disabled[s.target] ? openLink(s.target) : connectTo(s.target);
  const onNetworkChange = (type: 'visible' | 'online' | 'offline') => {
    for (const rank of s.links.keys()) {
      const link = s.links[rank];
      const stream = settings.streams[rank];
      // The old network may be gone without notice: ping now, and allow one interval for the answer.
      if (link?.isLive && stream?.supportsPing && type !== 'visible') {
        const lastMessageAt = Math.min(link.lastMessageAt, now - stream.timeout + settings.interval);
        s.links[rank] = { ...link, lastMessageAt };
      }
      checkLink(rank);
    }
    if (type === 'offline') return;
    if (liveRank(s) < 0) pollNow();
    retryNow(false);
  };
  const start = () => {
    s.phase = 'running';
    s.error = null;
    s.rejectedTokens = 0;
    connectTo(s.preferred);
    if (!s.isPolling) setTimer('firstPoll', FIRST_POLL_DELAY);
  };

  if (s.phase === 'closed') return [before, []];
  if (event.type === 'close') stop('closed', null);
  else if (event.type === 'online' || event.type === 'offline') s.isOnline = event.type === 'online';
  if (event.type === 'refresh') {
    s.disabled.fill(false);
    s.disabledReason = null;
    s.rejectedTokens = 0;
    if (s.phase === 'stopped') start();
    else if (s.phase === 'running' && liveRank(s) !== 0) retryNow(true);
  } else if (s.phase === 'idle' && event.type === 'start') start();
  // After the last listener has left a stopped feed, a new listener starts it again.
  else if (s.phase === 'stopped' && event.type === 'suspend') stop('idle', null);
  else if (s.phase === 'running') {
    if (event.type === 'suspend') stop('idle', null);
    else if (event.type === 'data') onData(event.rank);
    else if (event.type === 'closed') onClosed(event.rank, event.problem);
    else if (event.type === 'polled') onPolled();
    else if (event.type === 'pollFailed') onPollFailed(event.problem);
    else if (event.type === 'timer') onTimer(event.name);
    else if (event.type === 'activity') {
      const link = s.links[event.rank];
      if (link) s.links[event.rank] = { ...link, lastMessageAt: now };
    } else if (event.type === 'visible' || event.type === 'online' || event.type === 'offline') {
      onNetworkChange(event.type);
    }
  }
  return [s, effects];
}
