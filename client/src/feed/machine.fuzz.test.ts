import { expect, it } from 'vitest';
import { SETTINGS } from '../../test/machine-harness';
import { type Effect, type FeedEvent, initialState, liveRank, type State, step } from './machine';
import { type ProblemKind, problem } from './problem';

const KINDS: ProblemKind[] = ['network', 'timeout', 'restart', 'unauthorized', 'notFound', 'fatal', 'unsupported'];

/** Mulberry32: the same events on every run. */
function seededRandom(seed: number) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Simulates the environment of the state machine: links, timers and polls, as its effects demand. */
class Simulator {
  state: State = initialState(SETTINGS);
  now = 0;
  readonly open = new Set<number>();
  readonly timers = new Map<string, number>();
  isPollPending = false;
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  send(event: FeedEvent) {
    if (event.type === 'closed') this.open.delete(event.rank);
    if (event.type === 'timer') this.timers.delete(event.name);
    if (event.type === 'polled' || event.type === 'pollFailed') this.isPollPending = false;
    const [state, effects] = step(this.state, event, SETTINGS, { now: this.now, random: this.random });
    this.state = state;
    for (const effect of effects) this.#apply(effect);
    this.#checkInvariants(event);
  }

  #apply(effect: Effect) {
    if (effect.type === 'open') {
      expect(this.open.has(effect.rank), 'opened twice').toBe(false);
      this.open.add(effect.rank);
    } else if (effect.type === 'close') this.open.delete(effect.rank);
    else if (effect.type === 'setTimer') {
      expect(effect.delay).toBeGreaterThanOrEqual(0);
      expect(effect.delay).toBeLessThanOrEqual(30_000);
      this.timers.set(effect.name, this.now + effect.delay);
    } else if (effect.type === 'clearTimer') this.timers.delete(effect.name);
    else if (effect.type === 'poll') this.isPollPending = true;
    else if (effect.type === 'ping') expect(this.open.has(effect.rank), 'pinged a closed link').toBe(true);
  }

  #checkInvariants(event: FeedEvent) {
    const { state } = this;
    const context = `after ${JSON.stringify(event)} in ${JSON.stringify(state)}`;
    const links = state.links.flatMap((link, rank) => (link ? [rank] : []));
    expect(new Set(links), context).toEqual(this.open);
    for (const rank of links)
      expect(this.timers.has(`check${rank}`), `link ${rank} is not checked ${context}`).toBe(true);
    const pending = [...this.timers.keys()].filter((name) => name !== 'firstPoll');
    if (state.phase !== 'running') {
      expect([pending, links, state.isPolling], context).toEqual([[], [], false]);
      return;
    }
    // Without a live stream, a poll is pending or scheduled, and a stream is being tried unless all are disabled.
    if (liveRank(state) >= 0) return;
    const isFirst = state.links[state.target] && !state.isPolling;
    expect(isFirst || this.isPollPending || this.timers.has('poll'), `no data will arrive ${context}`).toBe(true);
    const isTrying = links.length > 0 || this.timers.has('retry') || this.timers.has('probe');
    expect(isTrying || state.disabled.every(Boolean), `no stream will be tried ${context}`).toBe(true);
  }

  /** Sends a random event that is possible now. */
  sendRandomEvent() {
    const pick = <T>(list: readonly T[]) => list[Math.floor(this.random() * list.length)] as T;
    const kind = this.random() < 0.7 ? 'network' : pick(KINDS);
    const roll = this.random();
    const rank = pick([...this.open]);
    if (roll < 0.25 && rank !== undefined) this.send({ type: 'closed', rank, problem: problem(kind, kind) });
    else if (roll < 0.35 && rank !== undefined) this.send({ type: 'data', rank });
    else if (roll < 0.4 && rank !== undefined) this.send({ type: 'activity', rank });
    else if (roll < 0.55 && this.isPollPending) {
      this.send(this.random() < 0.5 ? { type: 'polled' } : { type: 'pollFailed', problem: problem(kind, kind) });
    } else if (roll < 0.93 && this.timers.size > 0) {
      const [name, due] = [...this.timers].reduce((first, it) => (it[1] < first[1] ? it : first));
      this.now = Math.max(this.now, due) + (this.random() < 0.05 ? 3_600_000 : 0);
      this.send({ type: 'timer', name });
    } else this.send({ type: pick(['online', 'offline', 'visible', 'refresh', 'start', 'suspend'] as const) });
  }
}

it('random events never leave the feed without a source of data', { timeout: 60_000 }, () => {
  for (let seed = 1; seed <= 150; seed += 1) {
    const simulator = new Simulator(seed);
    simulator.send({ type: 'start' });
    for (let events = 0; events < 300; events += 1) simulator.sendRandomEvent();
    simulator.send({ type: 'close' });
  }
});
