import { liveRank, MAX_ATTEMPTS, type State } from './machine';
import type { Problem } from './problem';

/** Where the data comes from, in order of preference. */
export type TransportName = 'websocket' | 'sse' | 'polling';

export interface Connection {
  readonly state: TransportName | 'reconnecting' | 'disconnected';
  /** The state as a label for users. */
  readonly label: string;
  /** The last problem, until it no longer matters. */
  readonly error: Problem | null;
}

const LABELS: Record<Connection['state'], string> = {
  websocket: 'Real-time updates',
  sse: 'Real-time updates (SSE)',
  polling: 'Polling mode',
  reconnecting: 'Reconnecting…',
  disconnected: 'Disconnected',
};

export function describeConnection(state: State, streams: readonly TransportName[]): Connection {
  const current = connectionState(state, streams);
  return { state: current, label: LABELS[current], error: state.error };
}

function connectionState(state: State, streams: readonly TransportName[]): Connection['state'] {
  const liveStream = streams[liveRank(state)];
  if (liveStream) return liveStream;
  if (state.phase === 'stopped' || state.phase === 'closed') return 'disconnected';
  if (state.target === streams.length && state.lastPollSucceeded) return 'polling';
  return state.failedPolls >= MAX_ATTEMPTS || !state.isOnline ? 'disconnected' : 'reconnecting';
}
