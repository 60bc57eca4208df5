import { describeConnection, type TransportName } from '../src/feed/connection';
import {
  type Effect,
  type FeedEvent,
  initialState,
  MAX_ATTEMPTS,
  type Settings,
  type State,
  step,
} from '../src/feed/machine';
import { type ProblemKind, problem } from '../src/feed/problem';

export const SETTINGS: Settings = {
  interval: 5_000,
  maxTokenRefreshes: 5,
  streams: [
    { timeout: 15_000, supportsPing: true },
    { timeout: 20_000, supportsPing: false },
  ],
};

const NAMES: TransportName[] = ['websocket', 'sse'];

/** Drives the state machine: keeps its timers and records its effects. */
export class MachineHarness {
  state: State;
  now = 0;
  effects: Effect[] = [];
  timers = new Map<string, number>();
  readonly settings: Settings;

  constructor(settings: Partial<Settings> = {}) {
    this.settings = { ...SETTINGS, ...settings };
    this.state = initialState(this.settings);
  }

  send(...events: FeedEvent[]) {
    for (const event of events) {
      const [state, effects] = step(this.state, event, this.settings, { now: this.now, random: () => 0.5 });
      this.state = state;
      this.effects.push(...effects);
      for (const effect of effects) {
        if (effect.type === 'setTimer') this.timers.set(effect.name, this.now + effect.delay);
        if (effect.type === 'clearTimer') this.timers.delete(effect.name);
      }
    }
    return this;
  }

  /** The effects since the last call, without timers. */
  takeEffects() {
    const taken = this.effects.filter((it) => it.type !== 'setTimer' && it.type !== 'clearTimer');
    this.effects = [];
    return taken.map((it) => ('rank' in it ? `${it.type} ${NAMES[it.rank]}` : it.type));
  }

  /** Milliseconds until the timer fires. */
  timeUntil(name: string) {
    const at = this.timers.get(name);
    return at === undefined ? undefined : at - this.now;
  }

  /** Fires the timer, `late` milliseconds after its time. */
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

  /** Fails every attempt of the target. */
  exhaust(rank: number) {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      if (!this.state.links[rank]) this.fire('retry');
      this.fail(rank);
    }
    return this;
  }

  label() {
    return describeConnection(this.state, NAMES).label;
  }
}

export const started = (settings?: Partial<Settings>) => new MachineHarness(settings).send({ type: 'start' });
export const data = (rank: number): FeedEvent => ({ type: 'data', rank });
export const liveOnSocket = () => started().send(data(0));
export const liveOnEvents = () => started().exhaust(0).send(data(1));
/** Every stream has failed. */
export const polling = () => started().send({ type: 'polled' }).exhaust(0).exhaust(1).send({ type: 'polled' });
