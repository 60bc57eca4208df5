import { type Problem, problem } from './problem';

/**
 * The feed's state machine, pure: events in, effects out; the instant and chance are handed in.
 *
 * Streams stand in a ladder, best first; below them is polling, which runs whenever no stream delivers, so that data goes
 * on flowing while the ladder is climbed down or up. `target` is the stream that is being tried; past the last one it
 * means that all of them have failed, and polling is what there is.
 */
export interface State {
  readonly phase: 'idle' | 'on' | 'stopped' | 'closed';
  readonly links: readonly (LinkState | null)[];
  /** Streams that are not to be tried again. */
  readonly barred: readonly boolean[];
  readonly target: number;
  /** The stream that delivered last, where to begin again after an outage. */
  readonly home: number;
  /** Failed tries in a row of the target. */
  readonly tries: number;
  /** Rounds in vain of probing upward. */
  readonly probes: number;
  /** Refused tokens in a row. */
  readonly refusals: number;
  readonly isPolling: boolean;
  /** Whether the last poll was answered with data; null before the first. */
  readonly isPollGood: boolean | null;
  /** Polls in a row that did not reach the server. */
  readonly pollFailures: number;
  readonly isOnline: boolean;
  readonly error: Problem | null;
  /** Why a stream is barred. */
  readonly fault: Problem | null;
}

export interface LinkState {
  readonly isLive: boolean;
  /** When anything came last. */
  readonly heard: number;
  /** When it is to be looked at next. */
  readonly due: number;
}

export type Event =
  | { readonly type: 'start' | 'pause' | 'close' | 'polled' | 'online' | 'offline' | 'visible' | 'refresh' }
  | { readonly type: 'data' | 'heard'; readonly rank: number }
  | { readonly type: 'closed'; readonly rank: number; readonly problem: Problem }
  | { readonly type: 'pollFailed'; readonly problem: Problem }
  | { readonly type: 'timer'; readonly name: string };

export type Effect =
  | { readonly do: 'open' | 'ping'; readonly rank: number }
  /** `abort`: nothing is heard of the other side, so do not wait for it. */
  | { readonly do: 'close'; readonly rank: number; readonly abort: boolean }
  | { readonly do: 'timer'; readonly name: string; readonly after: number }
  | { readonly do: 'cancel'; readonly name: string }
  | { readonly do: 'poll' | 'renew' };

export interface Settings {
  /** How often the server speaks, in milliseconds. */
  readonly interval: number;
  readonly streams: readonly { readonly limit: number; readonly pings: boolean }[];
  /** How many refused tokens in a row end the feed. */
  readonly renewals: number;
}

export interface Moment {
  readonly now: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Failed tries after which the next transport has its turn. */
export const TRIES = 5;
/** How long a first connection may take before a poll helps out. */
const PATIENCE = 1_500;

export function begin(settings: Settings): State {
  return {
    phase: 'idle',
    links: settings.streams.map(() => null),
    barred: settings.streams.map(() => false),
    target: 0,
    home: 0,
    tries: 0,
    probes: 0,
    refusals: 0,
    isPolling: false,
    isPollGood: null,
    pollFailures: 0,
    isOnline: true,
    error: null,
    fault: null,
  };
}

/** From 1 s doubling to 30 s, each with jitter upward. */
export function backoff(failures: number, random: () => number): number {
  return Math.min(1_000 * 2 ** failures, 20_000) * (1 + random() / 2);
}

/** The stream that delivers; -1 when none does. */
export function live(state: State): number {
  return state.links.findIndex((link) => link?.isLive);
}

type Draft = { -readonly [Key in keyof State]: State[Key] extends readonly (infer Item)[] ? Item[] : State[Key] };

export function step(before: State, event: Event, settings: Settings, { now, random }: Moment): [State, Effect[]] {
  const s: Draft = { ...before, links: [...before.links], barred: [...before.barred] };
  const effects: Effect[] = [];
  const bottom = s.links.length;

  const timer = (name: string, after: number) => effects.push({ do: 'timer', name, after });
  const cancel = (...names: string[]) => effects.push(...names.map((name) => ({ do: 'cancel' as const, name })));
  /** The first stream from `from` on that may be tried; `to` when there is none before it. */
  const usable = (from: number, to: number) => {
    let rank = from;
    while (rank < to && s.barred[rank]) rank += 1;
    return rank;
  };

  const open = (rank: number) => {
    if (s.links[rank]) return;
    s.links[rank] = { isLive: false, heard: now, due: now + settings.interval };
    effects.push({ do: 'open', rank });
    timer(`watch${rank}`, settings.interval);
  };
  const drop = (rank: number, abort = false) => {
    if (!s.links[rank]) return;
    s.links[rank] = null;
    effects.push({ do: 'close', rank, abort });
    cancel(`watch${rank}`);
  };
  const pollNow = () => {
    s.isPolling = true;
    cancel('poll');
    effects.push({ do: 'poll' });
  };
  const halt = (phase: State['phase'], error: Problem | null) => {
    for (const rank of s.links.keys()) drop(rank);
    cancel('poll', 'retry', 'probe');
    s.isPolling = false;
    s.phase = phase;
    s.error = error;
  };
  /** Whether the refusal is one too many. */
  const refuse = (why: Problem) => {
    s.refusals += 1;
    effects.push({ do: 'renew' });
    if (s.refusals > settings.renewals) halt('stopped', why);
    return s.phase === 'stopped';
  };
  const probeLater = () => {
    const better = live(s) < 0 ? bottom : live(s);
    if (usable(0, better) < better) timer('probe', backoff(Math.min(s.probes, 2) + 2, random));
    else cancel('probe');
  };
  const probe = (from: number) => {
    const better = live(s) < 0 ? bottom : live(s);
    const rank = usable(from, better);
    if (rank < better) return open(rank);
    if (from > 0) s.probes += 1;
    probeLater();
  };
  /** The target or, when it is barred, the next; below the last there is polling and probing. */
  const aim = (target: number) => {
    s.target = usable(target, bottom);
    s.tries = 0;
    for (const rank of s.links.keys()) if (rank !== s.target) drop(rank);
    if (s.target < bottom) return open(s.target);
    if (!s.isPolling) pollNow();
    probeLater();
  };
  /** Something has changed for the better: nothing waits any longer. */
  const wake = (isBack: boolean) => {
    if (live(s) >= 0) {
      if (live(s) > 0) probe(0);
      return;
    }
    cancel('retry', 'probe');
    if (s.target === bottom && !isBack) probe(0);
    else aim(isBack ? s.home : s.target);
  };

  const onData = (rank: number) => {
    const link = s.links[rank];
    if (!link) return;
    s.links[rank] = { ...link, heard: now, isLive: true };
    if (link.isLive) return;
    for (const other of s.links.keys()) if (other !== rank) drop(other);
    s.target = s.home = rank;
    s.tries = s.probes = s.refusals = s.pollFailures = 0;
    s.error = s.fault;
    s.isPolling = false;
    cancel('poll', 'retry');
    probeLater();
  };

  const onClosed = (rank: number, why: Problem) => {
    const link = s.links[rank];
    if (!link) return;
    s.links[rank] = null;
    cancel(`watch${rank}`);
    if (why.kind === 'refused' && refuse(why)) return;
    if (why.kind === 'fatal' || why.kind === 'unavailable') s.barred[rank] = true;
    if (why.kind === 'fatal') s.fault = why;
    if (live(s) >= 0 || s.target === bottom) return probe(rank + 1);
    if (why.kind !== 'unavailable') s.error = why;
    if (!s.isPolling) pollNow();
    if (s.barred[rank]) return aim(rank);
    if (why.kind === 'restart') return timer('retry', 1_000 + random() * 2_000);
    // The first refusal may be of a token that was good when it was asked for.
    if (why.kind === 'refused' && s.refusals === 1) return timer('retry', 0);
    if (link.isLive) return timer('retry', backoff(0, random));
    s.tries += 1;
    // Another transport would not find a pipeline that is not there.
    if (s.tries >= TRIES && why.kind !== 'missing') return aim(rank + 1);
    timer('retry', backoff(Math.min(s.tries - 1, 5), random));
  };

  const watch = (rank: number) => {
    const link = s.links[rank];
    const stream = settings.streams[rank];
    if (!link || !stream) return;
    const age = now - link.heard;
    const canAsk = link.isLive && stream.pings;
    let heard = link.heard;
    if (age >= stream.limit) {
      // Late by more than an interval: this machine slept or holds timers back, so the other side is asked before it is given up.
      if (!canAsk || now - link.due <= settings.interval) {
        effects.push({ do: 'close', rank, abort: true });
        return onClosed(rank, problem('silent', `nothing was heard for ${Math.round(age / 1_000)} s`));
      }
      heard = now - stream.limit + settings.interval;
    }
    if (canAsk && age >= settings.interval * 0.9) effects.push({ do: 'ping', rank });
    const after = Math.min(settings.interval, stream.limit - (now - heard));
    s.links[rank] = { ...link, heard, due: now + after };
    timer(`watch${rank}`, after);
  };

  const onPolled = () => {
    const wasGone = s.pollFailures > 0 || s.isPollGood === false;
    s.isPollGood = true;
    s.pollFailures = 0;
    s.refusals = 0;
    if (!s.isPolling) return;
    if (s.target === bottom || s.error?.kind === 'missing') s.error = s.fault;
    timer('poll', settings.interval);
    if (wasGone) wake(true);
  };

  const onPollFailed = (why: Problem) => {
    if (!s.isPolling) return;
    s.isPollGood = false;
    s.error = why;
    if (why.kind === 'refused' && refuse(why)) return;
    if (why.kind === 'fatal' && usable(0, bottom) === bottom) return halt('stopped', why);
    if (why.kind === 'missing') {
      s.pollFailures = 0;
      return timer('poll', settings.interval);
    }
    s.pollFailures += 1;
    timer('poll', backoff(Math.min(s.pollFailures - 1, 5), random));
  };

  const onTimer = (name: string) => {
    if (name === 'poll') effects.push({ do: 'poll' });
    else if (name === 'bridge') live(s) < 0 && !s.isPolling && pollNow();
    else if (name === 'retry') aimAgain();
    else if (name === 'probe') probe(0);
    else watch(Number(name.slice('watch'.length)));
  };
  const aimAgain = () => (s.target < bottom && !s.barred[s.target] ? open(s.target) : aim(s.target));

  const start = () => {
    s.phase = 'on';
    s.error = null;
    s.refusals = 0;
    aim(s.home);
    if (!s.isPolling) timer('bridge', PATIENCE);
  };

  if (s.phase === 'closed') return [before, []];
  if (event.type === 'close') halt('closed', null);
  else if (event.type === 'online' || event.type === 'offline') s.isOnline = event.type === 'online';
  if (event.type === 'refresh') {
    s.barred.fill(false);
    s.fault = null;
    s.refusals = 0;
    if (s.phase === 'stopped') start();
    else if (s.phase === 'on' && live(s) !== 0) wake(true);
  } else if (s.phase === 'idle' && event.type === 'start') start();
  // Who listens anew does so because something may have changed.
  else if (s.phase === 'stopped' && event.type === 'pause') halt('idle', null);
  else if (s.phase === 'on') {
    if (event.type === 'pause') halt('idle', null);
    else if (event.type === 'data') onData(event.rank);
    else if (event.type === 'closed') onClosed(event.rank, event.problem);
    else if (event.type === 'polled') onPolled();
    else if (event.type === 'pollFailed') onPollFailed(event.problem);
    else if (event.type === 'timer') onTimer(event.name);
    else if (event.type === 'heard') {
      const link = s.links[event.rank];
      if (link) s.links[event.rank] = { ...link, heard: now };
    } else if (event.type === 'visible' || event.type === 'online' || event.type === 'offline') {
      for (const rank of s.links.keys()) {
        const link = s.links[rank];
        const stream = settings.streams[rank];
        // The network of before may be gone without a word: whoever can be asked is asked, and has an interval to answer.
        if (link?.isLive && stream?.pings && event.type !== 'visible') {
          s.links[rank] = { ...link, heard: Math.min(link.heard, now - stream.limit + settings.interval) };
        }
        watch(rank);
      }
      if (event.type !== 'offline') {
        if (live(s) < 0) pollNow();
        wake(false);
      }
    }
  }
  return [s, effects];
}
