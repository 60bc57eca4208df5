import { describe, expect, it } from 'vitest';
import { data, liveOnEvents, liveOnSocket, MachineHarness, polling, started } from '../../test/machine-harness';
import { describeConnection } from './connection';
import { backoff, liveRank, MAX_ATTEMPTS } from './machine';
import { problem } from './problem';

describe('backoff', () => {
  it('doubles from one second to half a minute, with jitter', () => {
    expect([0, 1, 2, 3, 4, 5, 9].map((tries) => backoff(tries, () => 0))).toEqual(
      [1, 2, 4, 8, 16, 20, 20].map((it) => it * 1_000),
    );
    expect([0, 9].map((tries) => backoff(tries, () => 1))).toEqual([1_500, 30_000]);
  });
});

describe('starting', () => {
  it('opens the WebSocket and shows that it is connecting', () => {
    const harness = started();
    expect(harness.takeEffects()).toEqual(['open websocket']);
    expect(harness.label()).toBe('Reconnecting…');
  });
  it('is live after the first data and checks the link', () => {
    const harness = liveOnSocket();
    expect(liveRank(harness.state)).toBe(0);
    expect(harness.label()).toBe('Real-time updates');
    expect(harness.timeUntil('check0')).toBe(5_000);
  });
  it('polls when connecting takes long and stops once live', () => {
    const harness = started();
    harness.takeEffects();
    expect(harness.fire('firstPoll').takeEffects()).toEqual(['poll']);
    harness.send({ type: 'polled' }, data(0));
    expect(harness.timeUntil('poll')).toBeUndefined();
  });
  it('does not poll when it is already live', () => {
    const harness = liveOnSocket();
    harness.takeEffects();
    expect(harness.fire('firstPoll').takeEffects()).toEqual([]);
  });
  it('starts with the next transport when one is unsupported', () => {
    const harness = started().fail(0, 'unsupported');
    expect(harness.takeEffects()).toEqual(['open websocket', 'poll', 'open sse']);
    expect(harness.state.error).toBeNull();
  });
  it('polls when there are no streams', () => {
    const harness = started({ streams: [] });
    expect(harness.takeEffects()).toEqual(['poll']);
    expect(describeConnection(harness.send({ type: 'polled' }).state, []).label).toBe('Polling mode');
  });
  it('starts only once', () => {
    const harness = started();
    harness.takeEffects();
    expect(harness.send({ type: 'start' }).takeEffects()).toEqual([]);
  });
});

describe('falling back', () => {
  it('makes five attempts with backoff while polling, then tries the next transport', () => {
    const harness = started();
    const waits: unknown[] = [];
    for (let tries = 1; tries < MAX_ATTEMPTS; tries += 1) {
      harness.fail(0);
      waits.push(harness.timeUntil('retry'));
      harness.fire('retry');
    }
    expect(waits).toEqual([1_250, 2_500, 5_000, 10_000]);
    expect(harness.state.isPolling).toBe(true);
    harness.takeEffects();
    expect(harness.fail(0).takeEffects()).toEqual(['open sse']);
    expect(harness.send(data(1)).label()).toBe('Real-time updates (SSE)');
    expect(harness.state.isPolling).toBe(false);
  });
  it('is in polling mode when all streams have failed and polls succeed', () => {
    const harness = polling();
    expect(harness.label()).toBe('Polling mode');
    expect(harness.timeUntil('poll')).toBe(5_000);
    expect(harness.timeUntil('probe')).toBeGreaterThan(0);
  });
  it('is reconnecting while polls succeed and streams are still being tried', () => {
    const harness = started().fail(0).send({ type: 'polled' });
    expect(harness.label()).toBe('Reconnecting…');
    expect(harness.timeUntil('poll')).toBe(5_000);
  });
  it('a stream that was live gets all its attempts again', () => {
    const harness = liveOnSocket();
    harness.takeEffects();
    harness.fail(0);
    expect(harness.takeEffects()).toEqual(['poll']);
    expect([harness.state.failedAttempts, harness.timeUntil('retry')]).toEqual([0, 1_250]);
    expect(harness.label()).toBe('Reconnecting…');
  });
  it('is disconnected when the polls fail as well', () => {
    const harness = liveOnSocket().fail(0);
    for (let polls = 0; polls < MAX_ATTEMPTS; polls += 1) {
      expect(harness.label()).toBe('Reconnecting…');
      harness.send({ type: 'pollFailed', problem: problem('network', 'gone') });
    }
    expect(harness.label()).toBe('Disconnected');
    expect(harness.timeUntil('poll')).toBe(20_000);
    expect(harness.send({ type: 'polled' }).label()).toBe('Reconnecting…');
  });
  it('returns to the preferred stream as soon as a poll succeeds', () => {
    const harness = liveOnSocket()
      .fail(0)
      .send({ type: 'pollFailed', problem: problem('network', 'gone') });
    harness.exhaust(0).exhaust(1);
    harness.takeEffects();
    harness.send({ type: 'polled' });
    expect(harness.takeEffects()).toEqual(['open websocket']);
    expect(harness.timeUntil('retry')).toBeUndefined();
  });
});

describe('probing upward', () => {
  it('opens the better stream and switches over with its first data', () => {
    const harness = liveOnEvents();
    harness.takeEffects();
    expect(harness.fire('probe').takeEffects()).toEqual(['open websocket']);
    expect(harness.label()).toBe('Real-time updates (SSE)');
    expect(harness.send(data(0)).takeEffects()).toEqual(['close sse']);
    expect(harness.label()).toBe('Real-time updates');
    expect(harness.timeUntil('probe')).toBeUndefined();
  });
  it('continues less often while it fails', () => {
    const harness = liveOnEvents();
    const waits = [harness.timeUntil('probe')];
    for (let rounds = 0; rounds < 3; rounds += 1) {
      harness.fire('probe').fail(0);
      waits.push(harness.timeUntil('probe'));
    }
    expect(waits).toEqual([5_000, 10_000, 20_000, 20_000]);
    expect(harness.label()).toBe('Real-time updates (SSE)');
  });
  it('tries every stream from polling, the best first', () => {
    const harness = polling();
    harness.takeEffects();
    harness.fire('probe').fail(0);
    expect(harness.takeEffects()).toEqual(['open websocket', 'open sse']);
    harness.fail(1);
    expect(harness.timeUntil('probe')).toBe(10_000);
    expect(harness.fire('probe').send(data(0)).label()).toBe('Real-time updates');
    expect(harness.state.isPolling).toBe(false);
  });
  it('a live stream that breaks during a probe is retried', () => {
    const harness = liveOnEvents().fire('probe').fail(1);
    expect(harness.timeUntil('retry')).toBe(1_250);
    expect(harness.send(data(0)).label()).toBe('Real-time updates');
    expect(harness.timeUntil('retry')).toBeUndefined();
  });
});

describe('silent connections', () => {
  it('pings after one interval and gives up after three', () => {
    const harness = liveOnSocket();
    harness.takeEffects();
    expect(harness.fire('check0').takeEffects()).toEqual(['ping websocket']);
    expect(harness.fire('check0').takeEffects()).toEqual(['ping websocket']);
    expect(harness.fire('check0').takeEffects()).toEqual(['close websocket', 'poll']);
    expect(harness.now).toBe(15_000);
    expect(harness.state.error?.kind).toBe('timeout');
    expect(harness.effects).toEqual([]);
  });
  it('any message resets the timeout', () => {
    const harness = liveOnSocket();
    for (let rounds = 0; rounds < 9; rounds += 1) harness.fire('check0').send({ type: 'activity', rank: 0 });
    expect(harness.label()).toBe('Real-time updates');
  });
  it('a connection that never responds is a failed attempt', () => {
    const harness = started().fire('check0').fire('check0').fire('check0');
    expect([harness.state.failedAttempts, harness.state.links[0]]).toEqual([1, null]);
  });
  it('an event stream has until its heartbeat timeout', () => {
    const harness = liveOnEvents();
    harness.fire('check1').fire('check1').fire('check1');
    expect(liveRank(harness.state)).toBe(1);
    expect(liveRank(harness.fire('check1').state)).toBe(-1);
  });
  it('a socket is pinged after sleep and has one interval to respond', () => {
    const harness = liveOnSocket();
    harness.takeEffects();
    expect(harness.fire('check0', 3_600_000).takeEffects()).toEqual(['ping websocket']);
    expect(harness.timeUntil('check0')).toBe(5_000);
    const awake = new MachineHarness();
    Object.assign(awake, { state: harness.state, now: harness.now, timers: new Map(harness.timers) });
    expect(liveRank(awake.send({ type: 'activity', rank: 0 }).fire('check0').state)).toBe(0);
    expect(liveRank(harness.fire('check0').state)).toBe(-1);
  });
  it('an event stream, which cannot be pinged, is reopened after sleep', () => {
    const harness = liveOnEvents();
    harness.fire('check1', 3_600_000);
    expect(liveRank(harness.state)).toBe(-1);
    expect(harness.timeUntil('retry')).toBe(1_250);
  });
});

describe('the page and the network', () => {
  it('reconnects at once when the network is back', () => {
    const harness = liveOnSocket().send({ type: 'offline' }).fail(0);
    expect(harness.label()).toBe('Disconnected');
    harness.takeEffects();
    expect(harness.send({ type: 'online' }).takeEffects()).toEqual(['poll', 'open websocket']);
    expect(harness.label()).toBe('Reconnecting…');
  });
  it('pings a socket when the network changes and gives it one interval', () => {
    const harness = liveOnSocket();
    harness.now = 1_000;
    harness.takeEffects();
    expect(harness.send({ type: 'offline' }).takeEffects()).toEqual(['ping websocket']);
    expect(harness.label()).toBe('Real-time updates');
    expect(harness.timeUntil('check0')).toBe(5_000);
    expect(liveRank(harness.fire('check0').state)).toBe(-1);
  });
  it('reconnects at once when the page becomes visible', () => {
    const harness = started().fail(0).fire('retry').fail(0);
    harness.takeEffects();
    expect(harness.send({ type: 'visible' }).takeEffects()).toEqual(['poll', 'open websocket']);
    const polls = polling();
    polls.takeEffects();
    expect(polls.send({ type: 'visible' }).takeEffects()).toEqual(['poll', 'open websocket']);
    const events = liveOnEvents();
    events.takeEffects();
    expect(events.send({ type: 'visible' }).takeEffects()).toEqual(['open websocket']);
    const socket = liveOnSocket();
    socket.takeEffects();
    expect(socket.send({ type: 'visible' }).takeEffects()).toEqual([]);
  });
});

describe('problems reported by the server', () => {
  it('a restart is retried with jitter and is not a failed attempt', () => {
    const harness = liveOnSocket().fail(0, 'restart');
    expect([harness.timeUntil('retry'), harness.state.failedAttempts]).toEqual([2_000, 0]);
  });
  it('a fatal close disables the transport, is shown, and the next one delivers', () => {
    const harness = started();
    harness.takeEffects();
    expect(harness.fail(0, 'fatal').takeEffects()).toEqual(['poll', 'open sse']);
    harness.send(data(1));
    expect(harness.state.error?.kind).toBe('fatal');
    expect(harness.timeUntil('probe')).toBeUndefined();
  });
  it('a fatal problem on every transport stops the feed', () => {
    const harness = started()
      .fail(0, 'fatal')
      .fail(1, 'fatal')
      .send({ type: 'pollFailed', problem: problem('fatal', 'no') });
    expect([harness.state.phase, harness.label(), harness.state.error?.message]).toEqual([
      'stopped',
      'Disconnected',
      'no',
    ]);
    expect([...harness.timers.keys()].filter((it) => it !== 'firstPoll')).toEqual([]);
    harness.takeEffects();
    expect(harness.send({ type: 'visible' }, { type: 'online' }).takeEffects()).toEqual([]);
    expect(harness.send({ type: 'refresh' }).takeEffects()).toEqual(['open websocket']);
  });
  it('a missing pipeline is retried slowly on the same transport', () => {
    const harness = started();
    for (let tries = 0; tries < 8; tries += 1) {
      harness.fail(0, 'notFound').send({ type: 'pollFailed', problem: problem('notFound', 'none') });
      if (tries < 7) harness.fire('retry');
    }
    expect([harness.state.target, harness.timeUntil('poll'), harness.state.error?.kind]).toEqual([
      0,
      5_000,
      'notFound',
    ]);
    harness.takeEffects();
    expect(harness.send({ type: 'polled' }).takeEffects()).toEqual(['open websocket']);
    expect(harness.state.error).toBeNull();
  });
  it('a rejected token is refreshed at once, and then with backoff', () => {
    const harness = liveOnSocket();
    harness.takeEffects();
    harness.fail(0, 'unauthorized');
    expect(harness.takeEffects()).toEqual(['refreshToken', 'poll']);
    expect(harness.timeUntil('retry')).toBe(0);
    harness.fire('retry').fail(0, 'unauthorized');
    expect(harness.timeUntil('retry')).toBeGreaterThan(0);
    harness.fire('retry').send(data(0));
    expect(harness.state.rejectedTokens).toBe(0);
  });
  it('six rejected tokens in a row stop the feed; without a provider, one does', () => {
    const harness = started();
    for (let polls = 0; polls < 6; polls += 1) {
      expect(harness.state.phase).toBe('running');
      if (!harness.state.links[0]) harness.fire('retry');
      harness.fail(0, 'unauthorized');
    }
    expect(harness.state.phase).toBe('stopped');
    expect(started({ maxTokenRefreshes: 0 }).fail(0, 'unauthorized').state.phase).toBe('stopped');
    const polls = started({ streams: [], maxTokenRefreshes: 0 });
    expect(polls.send({ type: 'pollFailed', problem: problem('unauthorized', 'no') }).label()).toBe('Disconnected');
  });
});

describe('refresh, suspend and close', () => {
  it('refresh retries disabled transports', () => {
    const harness = started().fail(0, 'fatal').send(data(1));
    harness.takeEffects();
    expect(harness.send({ type: 'refresh' }).takeEffects()).toEqual(['open websocket']);
    expect(harness.send(data(0)).state.error).toBeNull();
    const polls = polling();
    polls.takeEffects();
    expect(polls.send({ type: 'refresh' }).takeEffects()).toEqual(['open websocket']);
    const socket = liveOnSocket();
    socket.takeEffects();
    expect(socket.send({ type: 'refresh' }).takeEffects()).toEqual([]);
  });
  it('a suspended feed has no connections or timers and resumes with the same stream', () => {
    const harness = liveOnEvents().send({ type: 'suspend' });
    expect(harness.takeEffects().at(-1)).toBe('close sse');
    expect([...harness.timers.keys()].filter((it) => it !== 'firstPoll')).toEqual([]);
    expect(harness.send({ type: 'start' }).takeEffects()).toEqual(['open sse']);
  });
  it('a stopped feed starts again for a new listener', () => {
    const harness = started({ maxTokenRefreshes: 0 }).fail(0, 'unauthorized').send({ type: 'suspend' });
    harness.takeEffects();
    expect(harness.send({ type: 'start' }).takeEffects()).toEqual(['open websocket']);
    expect([harness.state.rejectedTokens, harness.state.error]).toEqual([0, null]);
  });
  it('a closed feed ignores every event', () => {
    const harness = liveOnSocket().send({ type: 'close' });
    harness.takeEffects();
    expect(harness.send({ type: 'start' }, data(0), { type: 'refresh' }, { type: 'online' }).takeEffects()).toEqual([]);
    expect(harness.label()).toBe('Disconnected');
  });
  it('events of closed links change nothing', () => {
    const harness = liveOnSocket();
    const before = harness.state;
    harness.send({ type: 'activity', rank: 1 }, data(1), {
      type: 'closed',
      rank: 1,
      problem: problem('network', 'late'),
    });
    harness.send({ type: 'timer', name: 'check1' }, { type: 'pollFailed', problem: problem('network', 'late') });
    expect(harness.state).toEqual(before);
  });
});
