import { expect, it } from 'vitest';
import { SETTINGS } from '../../test/rig';
import { begin, type Effect, type Event, live, type State, step } from './machine';
import { type ProblemKind, problem } from './problem';

const KINDS: ProblemKind[] = ['network', 'silent', 'restart', 'refused', 'missing', 'fatal', 'unavailable'];

/** Mulberry32: the same events with each run. */
function chance(seed: number) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The world around the machine: links, timers and polls as the effects say. */
class World {
  state: State = begin(SETTINGS);
  now = 0;
  readonly open = new Set<number>();
  readonly timers = new Map<string, number>();
  isAsking = false;
  readonly random: () => number;

  constructor(seed: number) {
    this.random = chance(seed);
  }

  send(event: Event) {
    if (event.type === 'closed') this.open.delete(event.rank);
    if (event.type === 'timer') this.timers.delete(event.name);
    if (event.type === 'polled' || event.type === 'pollFailed') this.isAsking = false;
    const [state, effects] = step(this.state, event, SETTINGS, { now: this.now, random: this.random });
    this.state = state;
    for (const effect of effects) this.#do(effect);
    this.#check(event);
  }

  #do(effect: Effect) {
    if (effect.do === 'open') {
      expect(this.open.has(effect.rank), 'opened twice').toBe(false);
      this.open.add(effect.rank);
    } else if (effect.do === 'close') this.open.delete(effect.rank);
    else if (effect.do === 'timer') {
      expect(effect.after).toBeGreaterThanOrEqual(0);
      expect(effect.after).toBeLessThanOrEqual(30_000);
      this.timers.set(effect.name, this.now + effect.after);
    } else if (effect.do === 'cancel') this.timers.delete(effect.name);
    else if (effect.do === 'poll') this.isAsking = true;
    else if (effect.do === 'ping') expect(this.open.has(effect.rank), 'pinged what is closed').toBe(true);
  }

  #check(event: Event) {
    const { state } = this;
    const said = `after ${JSON.stringify(event)} in ${JSON.stringify(state)}`;
    const links = state.links.flatMap((link, rank) => (link ? [rank] : []));
    expect(new Set(links), said).toEqual(this.open);
    for (const rank of links) expect(this.timers.has(`watch${rank}`), `unwatched ${rank} ${said}`).toBe(true);
    const pending = [...this.timers.keys()].filter((name) => name !== 'bridge');
    if (state.phase !== 'on') {
      expect([pending, links, state.isPolling], said).toEqual([[], [], false]);
      return;
    }
    // It never goes dark: without a live stream a poll is under way or will be, and a stream is tried unless all are barred.
    if (live(state) >= 0) return;
    const isFirst = state.links[state.target] && !state.isPolling;
    expect(isFirst || this.isAsking || this.timers.has('poll'), `no data to come ${said}`).toBe(true);
    const isTrying = links.length > 0 || this.timers.has('retry') || this.timers.has('probe');
    expect(isTrying || state.barred.every(Boolean), `no stream to come ${said}`).toBe(true);
  }

  /** Something that may happen now. */
  happen() {
    const pick = <T>(list: readonly T[]) => list[Math.floor(this.random() * list.length)] as T;
    const kind = this.random() < 0.7 ? 'network' : pick(KINDS);
    const dice = this.random();
    const rank = pick([...this.open]);
    if (dice < 0.25 && rank !== undefined) this.send({ type: 'closed', rank, problem: problem(kind, kind) });
    else if (dice < 0.35 && rank !== undefined) this.send({ type: 'data', rank });
    else if (dice < 0.4 && rank !== undefined) this.send({ type: 'heard', rank });
    else if (dice < 0.55 && this.isAsking) {
      this.send(this.random() < 0.5 ? { type: 'polled' } : { type: 'pollFailed', problem: problem(kind, kind) });
    } else if (dice < 0.93 && this.timers.size > 0) {
      const [name, due] = [...this.timers].reduce((first, it) => (it[1] < first[1] ? it : first));
      this.now = Math.max(this.now, due) + (this.random() < 0.05 ? 3_600_000 : 0);
      this.send({ type: 'timer', name });
    } else this.send({ type: pick(['online', 'offline', 'visible', 'refresh', 'start', 'pause'] as const) });
  }
}

it('whatever happens, data is always to come', { timeout: 60_000 }, () => {
  for (let seed = 1; seed <= 150; seed += 1) {
    const world = new World(seed);
    world.send({ type: 'start' });
    for (let events = 0; events < 300; events += 1) world.happen();
    world.send({ type: 'close' });
  }
});
