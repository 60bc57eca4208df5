import { live, type State, TRIES } from './machine';
import type { Problem } from './problem';

/** Where the data comes from, in the order of preference. */
export type TransportName = 'websocket' | 'sse' | 'polling';

/** How the feed is connected. */
export interface Connection {
  readonly state: TransportName | 'reconnecting' | 'disconnected';
  /** The state in people's words. */
  readonly label: string;
  /** What went wrong last, while it still matters. */
  readonly error: Problem | null;
}

const LABELS: Record<Connection['state'], string> = {
  websocket: 'Real-time updates',
  sse: 'Real-time updates (SSE)',
  polling: 'Polling mode',
  reconnecting: 'Reconnecting…',
  disconnected: 'Disconnected',
};

/** The machine's state as people see it. */
export function connectionOf(state: State, streams: readonly TransportName[]): Connection {
  const current = stateOf(state, streams);
  return { state: current, label: LABELS[current], error: state.error };
}

function stateOf(state: State, streams: readonly TransportName[]): Connection['state'] {
  const delivering = streams[live(state)];
  if (delivering) return delivering;
  if (state.phase === 'stopped' || state.phase === 'closed') return 'disconnected';
  if (state.target === streams.length && state.isPollGood) return 'polling';
  return state.pollFailures >= TRIES || !state.isOnline ? 'disconnected' : 'reconnecting';
}
