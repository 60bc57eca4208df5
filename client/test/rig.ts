import { connectionOf, type TransportName } from '../src/feed/connection';
import { begin, type Effect, type Event, type Settings, type State, step, TRIES } from '../src/feed/machine';
import { type ProblemKind, problem } from '../src/feed/problem';

export const SETTINGS: Settings = {
  interval: 5_000,
  renewals: 5,
  streams: [
    { limit: 15_000, pings: true },
    { limit: 20_000, pings: false },
  ],
};
const NAMES: TransportName[] = ['websocket', 'sse'];

/** Drives the machine: keeps its timers and tells what it did. */
export class Rig {
  state: State;
  now = 0;
  effects: Effect[] = [];
  timers = new Map<string, number>();
  readonly settings: Settings;

  constructor(settings: Partial<Settings> = {}) {
    this.settings = { ...SETTINGS, ...settings };
    this.state = begin(this.settings);
  }

  send(...events: Event[]) {
    for (const event of events) {
      const [state, effects] = step(this.state, event, this.settings, { now: this.now, random: () => 0.5 });
      this.state = state;
      this.effects.push(...effects);
      for (const effect of effects) {
        if (effect.do === 'timer') this.timers.set(effect.name, this.now + effect.after);
        if (effect.do === 'cancel') this.timers.delete(effect.name);
      }
    }
    return this;
  }

  /** What was done since the last look, timers aside. */
  done() {
    const done = this.effects.filter((it) => it.do !== 'timer' && it.do !== 'cancel');
    this.effects = [];
    return done.map((it) => ('rank' in it ? `${it.do} ${NAMES[it.rank]}` : it.do));
  }

  due(name: string) {
    const at = this.timers.get(name);
    return at === undefined ? undefined : at - this.now;
  }

  /** Lets the timer come, on time. */
  fire(name: string, late = 0) {
    const at = this.timers.get(name);
    if (at === undefined) throw new Error(`no timer ${name}: ${[...this.timers.keys()]}`);
    this.timers.delete(name);
    this.now = Math.max(this.now, at) + late;
    return this.send({ type: 'timer', name });
  }

  fail(rank: number, kind: ProblemKind = 'network') {
    return this.send({ type: 'closed', rank, problem: problem(kind, kind) });
  }

  /** The target fails until the next has its turn. */
  exhaust(rank: number) {
    for (let tries = 0; tries < TRIES; tries += 1) {
      if (!this.state.links[rank]) this.fire('retry');
      this.fail(rank);
    }
    return this;
  }

  label() {
    return connectionOf(this.state, NAMES).label;
  }
}

export const started = (settings?: Partial<Settings>) => new Rig(settings).send({ type: 'start' });
export const data = (rank: number): Event => ({ type: 'data', rank });
/** Live on a WebSocket. */
export const onSocket = () => started().send(data(0));
/** Live on an event stream. */
export const onEvents = () => started().exhaust(0).send(data(1));
/** Polling, when every stream has failed. */
export const onPolls = () => started().send({ type: 'polled' }).exhaust(0).exhaust(1).send({ type: 'polled' });
