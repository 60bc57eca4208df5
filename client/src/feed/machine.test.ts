import { describe, expect, it } from 'vitest';
import { data, onEvents, onPolls, onSocket, Rig, started } from '../../test/rig';
import { connectionOf } from './connection';
import { backoff, live, TRIES } from './machine';
import { problem } from './problem';

describe('backoff', () => {
  it('doubles from a second to half a minute, with jitter', () => {
    expect([0, 1, 2, 3, 4, 5, 9].map((tries) => backoff(tries, () => 0))).toEqual(
      [1, 2, 4, 8, 16, 20, 20].map((it) => it * 1_000),
    );
    expect([0, 9].map((tries) => backoff(tries, () => 1))).toEqual([1_500, 30_000]);
  });
});

describe('at first', () => {
  it('opens the WebSocket and says that it connects', () => {
    const rig = started();
    expect(rig.done()).toEqual(['open websocket']);
    expect(rig.label()).toBe('Reconnecting…');
  });
  it('is live with the first data, and watches', () => {
    const rig = onSocket();
    expect(live(rig.state)).toBe(0);
    expect(rig.label()).toBe('Real-time updates');
    expect(rig.due('watch0')).toBe(5_000);
  });
  it('polls meanwhile when that takes long, and stops when it is live', () => {
    const rig = started();
    rig.done();
    expect(rig.fire('bridge').done()).toEqual(['poll']);
    rig.send({ type: 'polled' }, data(0));
    expect(rig.due('poll')).toBeUndefined();
  });
  it('does not poll when it was live by then', () => {
    const rig = onSocket();
    rig.done();
    expect(rig.fire('bridge').done()).toEqual([]);
  });
  it('begins with what there is when a transport is unavailable', () => {
    const rig = started().fail(0, 'unavailable');
    expect(rig.done()).toEqual(['open websocket', 'poll', 'open sse']);
    expect(rig.state.error).toBeNull();
  });
  it('polls when there is no stream at all', () => {
    const rig = started({ streams: [] });
    expect(rig.done()).toEqual(['poll']);
    expect(connectionOf(rig.send({ type: 'polled' }).state, []).label).toBe('Polling mode');
  });
  it('starts only once', () => {
    const rig = started();
    rig.done();
    expect(rig.send({ type: 'start' }).done()).toEqual([]);
  });
});

describe('falling', () => {
  it('tries five times with growing waits while polls go on, then the next transport', () => {
    const rig = started();
    const waits: unknown[] = [];
    for (let tries = 1; tries < TRIES; tries += 1) {
      rig.fail(0);
      waits.push(rig.due('retry'));
      rig.fire('retry');
    }
    expect(waits).toEqual([1_250, 2_500, 5_000, 10_000]);
    expect(rig.state.isPolling).toBe(true);
    rig.done();
    expect(rig.fail(0).done()).toEqual(['open sse']);
    expect(rig.send(data(1)).label()).toBe('Real-time updates (SSE)');
    expect(rig.state.isPolling).toBe(false);
  });
  it('is in polling mode when all streams have failed and polls are answered', () => {
    const rig = onPolls();
    expect(rig.label()).toBe('Polling mode');
    expect(rig.due('poll')).toBe(5_000);
    expect(rig.due('probe')).toBeGreaterThan(0);
  });
  it('says so while data flows only by polls before that', () => {
    const rig = started().fail(0).send({ type: 'polled' });
    expect(rig.label()).toBe('Reconnecting…');
    expect(rig.due('poll')).toBe(5_000);
  });
  it('a stream that was live begins anew with its tries', () => {
    const rig = onSocket();
    rig.done();
    rig.fail(0);
    expect(rig.done()).toEqual(['poll']);
    expect([rig.state.tries, rig.due('retry')]).toEqual([0, 1_250]);
    expect(rig.label()).toBe('Reconnecting…');
  });
  it('is disconnected when the polls fail as often', () => {
    const rig = onSocket().fail(0);
    for (let polls = 0; polls < TRIES; polls += 1) {
      expect(rig.label()).toBe('Reconnecting…');
      rig.send({ type: 'pollFailed', problem: problem('network', 'gone') });
    }
    expect(rig.label()).toBe('Disconnected');
    expect(rig.due('poll')).toBe(20_000);
    expect(rig.send({ type: 'polled' }).label()).toBe('Reconnecting…');
  });
  it('returns to the stream of before as soon as a poll reaches the server again', () => {
    const rig = onSocket()
      .fail(0)
      .send({ type: 'pollFailed', problem: problem('network', 'gone') });
    rig.exhaust(0).exhaust(1);
    rig.done();
    rig.send({ type: 'polled' });
    expect(rig.done()).toEqual(['open websocket']);
    expect(rig.due('retry')).toBeUndefined();
  });
});

describe('probing upward', () => {
  it('opens the better stream beside the live one, and changes over with its first data', () => {
    const rig = onEvents();
    rig.done();
    expect(rig.fire('probe').done()).toEqual(['open websocket']);
    expect(rig.label()).toBe('Real-time updates (SSE)');
    expect(rig.send(data(0)).done()).toEqual(['close sse']);
    expect(rig.label()).toBe('Real-time updates');
    expect(rig.due('probe')).toBeUndefined();
  });
  it('goes on, more seldom, while it fails', () => {
    const rig = onEvents();
    const waits = [rig.due('probe')];
    for (let rounds = 0; rounds < 3; rounds += 1) {
      rig.fire('probe').fail(0);
      waits.push(rig.due('probe'));
    }
    expect(waits).toEqual([5_000, 10_000, 20_000, 20_000]);
    expect(rig.label()).toBe('Real-time updates (SSE)');
  });
  it('from polling tries every stream, the best first', () => {
    const rig = onPolls();
    rig.done();
    rig.fire('probe').fail(0);
    expect(rig.done()).toEqual(['open websocket', 'open sse']);
    rig.fail(1);
    expect(rig.due('probe')).toBe(10_000);
    expect(rig.fire('probe').send(data(0)).label()).toBe('Real-time updates');
    expect(rig.state.isPolling).toBe(false);
  });
  it('a live stream that breaks during a probe is tried again', () => {
    const rig = onEvents().fire('probe').fail(1);
    expect(rig.due('retry')).toBe(1_250);
    expect(rig.send(data(0)).label()).toBe('Real-time updates');
    expect(rig.due('retry')).toBeUndefined();
  });
});

describe('silence', () => {
  it('asks after an interval, and gives up after three', () => {
    const rig = onSocket();
    rig.done();
    expect(rig.fire('watch0').done()).toEqual(['ping websocket']);
    expect(rig.fire('watch0').done()).toEqual(['ping websocket']);
    expect(rig.fire('watch0').done()).toEqual(['close websocket', 'poll']);
    expect(rig.now).toBe(15_000);
    expect(rig.state.error?.kind).toBe('silent');
    expect(rig.effects).toEqual([]);
  });
  it('anything that is heard counts', () => {
    const rig = onSocket();
    for (let rounds = 0; rounds < 9; rounds += 1) rig.fire('watch0').send({ type: 'heard', rank: 0 });
    expect(rig.label()).toBe('Real-time updates');
  });
  it('a connection that never answers is a failed try', () => {
    const rig = started().fire('watch0').fire('watch0').fire('watch0');
    expect([rig.state.tries, rig.state.links[0]]).toEqual([1, null]);
  });
  it('an event stream has until its heartbeat', () => {
    const rig = onEvents();
    rig.fire('watch1').fire('watch1').fire('watch1');
    expect(live(rig.state)).toBe(1);
    expect(live(rig.fire('watch1').state)).toBe(-1);
  });
  it('after a sleep a socket is asked, and has an interval to answer', () => {
    const rig = onSocket();
    rig.done();
    expect(rig.fire('watch0', 3_600_000).done()).toEqual(['ping websocket']);
    expect(rig.due('watch0')).toBe(5_000);
    const awake = new Rig();
    Object.assign(awake, { state: rig.state, now: rig.now, timers: new Map(rig.timers) });
    expect(live(awake.send({ type: 'heard', rank: 0 }).fire('watch0').state)).toBe(0);
    expect(live(rig.fire('watch0').state)).toBe(-1);
  });
  it('after a sleep an event stream, which cannot be asked, is opened anew', () => {
    const rig = onEvents();
    rig.fire('watch1', 3_600_000);
    expect(live(rig.state)).toBe(-1);
    expect(rig.due('retry')).toBe(1_250);
  });
});

describe('the page and the network', () => {
  it('tries at once when the network is back', () => {
    const rig = onSocket().send({ type: 'offline' }).fail(0);
    expect(rig.label()).toBe('Disconnected');
    rig.done();
    expect(rig.send({ type: 'online' }).done()).toEqual(['poll', 'open websocket']);
    expect(rig.label()).toBe('Reconnecting…');
  });
  it('asks a socket when the network changes, and gives it an interval', () => {
    const rig = onSocket();
    rig.now = 1_000;
    rig.done();
    expect(rig.send({ type: 'offline' }).done()).toEqual(['ping websocket']);
    expect(rig.label()).toBe('Real-time updates');
    expect(rig.due('watch0')).toBe(5_000);
    expect(live(rig.fire('watch0').state)).toBe(-1);
  });
  it('a page that is looked at again does not wait', () => {
    const rig = started().fail(0).fire('retry').fail(0);
    rig.done();
    expect(rig.send({ type: 'visible' }).done()).toEqual(['poll', 'open websocket']);
    const polls = onPolls();
    polls.done();
    expect(polls.send({ type: 'visible' }).done()).toEqual(['poll', 'open websocket']);
    const events = onEvents();
    events.done();
    expect(events.send({ type: 'visible' }).done()).toEqual(['open websocket']);
    const socket = onSocket();
    socket.done();
    expect(socket.send({ type: 'visible' }).done()).toEqual([]);
  });
});

describe('what the server says', () => {
  it('a restart is followed with jitter and counts as no failure', () => {
    const rig = onSocket().fail(0, 'restart');
    expect([rig.due('retry'), rig.state.tries]).toEqual([2_000, 0]);
  });
  it('a fatal close ends the transport, is shown, and the next one delivers', () => {
    const rig = started();
    rig.done();
    expect(rig.fail(0, 'fatal').done()).toEqual(['poll', 'open sse']);
    rig.send(data(1));
    expect(rig.state.error?.kind).toBe('fatal');
    expect(rig.due('probe')).toBeUndefined();
  });
  it('fatal by every transport ends the feed', () => {
    const rig = started()
      .fail(0, 'fatal')
      .fail(1, 'fatal')
      .send({ type: 'pollFailed', problem: problem('fatal', 'no') });
    expect([rig.state.phase, rig.label(), rig.state.error?.message]).toEqual(['stopped', 'Disconnected', 'no']);
    expect([...rig.timers.keys()].filter((it) => it !== 'bridge')).toEqual([]);
    rig.done();
    expect(rig.send({ type: 'visible' }, { type: 'online' }).done()).toEqual([]);
    expect(rig.send({ type: 'refresh' }).done()).toEqual(['open websocket']);
  });
  it('a pipeline that is not there is asked for slowly, by the same transport', () => {
    const rig = started();
    for (let tries = 0; tries < 8; tries += 1) {
      rig.fail(0, 'missing').send({ type: 'pollFailed', problem: problem('missing', 'none') });
      if (tries < 7) rig.fire('retry');
    }
    expect([rig.state.target, rig.due('poll'), rig.state.error?.kind]).toEqual([0, 5_000, 'missing']);
    rig.done();
    expect(rig.send({ type: 'polled' }).done()).toEqual(['open websocket']);
    expect(rig.state.error).toBeNull();
  });
  it('a refused token is renewed at once, and then with growing waits', () => {
    const rig = onSocket();
    rig.done();
    rig.fail(0, 'refused');
    expect(rig.done()).toEqual(['renew', 'poll']);
    expect(rig.due('retry')).toBe(0);
    rig.fire('retry').fail(0, 'refused');
    expect(rig.due('retry')).toBeGreaterThan(0);
    rig.fire('retry').send(data(0));
    expect(rig.state.refusals).toBe(0);
  });
  it('six refusals in a row end the feed; one does when there is nobody to ask', () => {
    const rig = started();
    for (let polls = 0; polls < 6; polls += 1) {
      expect(rig.state.phase).toBe('on');
      if (!rig.state.links[0]) rig.fire('retry');
      rig.fail(0, 'refused');
    }
    expect(rig.state.phase).toBe('stopped');
    expect(started({ renewals: 0 }).fail(0, 'refused').state.phase).toBe('stopped');
    const polls = started({ streams: [], renewals: 0 });
    expect(polls.send({ type: 'pollFailed', problem: problem('refused', 'no') }).label()).toBe('Disconnected');
  });
});

describe('refresh, rest and end', () => {
  it('refresh tries again what was given up', () => {
    const rig = started().fail(0, 'fatal').send(data(1));
    rig.done();
    expect(rig.send({ type: 'refresh' }).done()).toEqual(['open websocket']);
    expect(rig.send(data(0)).state.error).toBeNull();
    const polls = onPolls();
    polls.done();
    expect(polls.send({ type: 'refresh' }).done()).toEqual(['open websocket']);
    const socket = onSocket();
    socket.done();
    expect(socket.send({ type: 'refresh' }).done()).toEqual([]);
  });
  it('rests without connections or timers, and starts where it was', () => {
    const rig = onEvents().send({ type: 'pause' });
    expect(rig.done().at(-1)).toBe('close sse');
    expect([...rig.timers.keys()].filter((it) => it !== 'bridge')).toEqual([]);
    expect(rig.send({ type: 'start' }).done()).toEqual(['open sse']);
  });
  it('that was stopped begins anew for who listens anew', () => {
    const rig = started({ renewals: 0 }).fail(0, 'refused').send({ type: 'pause' });
    rig.done();
    expect(rig.send({ type: 'start' }).done()).toEqual(['open websocket']);
    expect([rig.state.refusals, rig.state.error]).toEqual([0, null]);
  });
  it('is deaf once it is closed', () => {
    const rig = onSocket().send({ type: 'close' });
    rig.done();
    expect(rig.send({ type: 'start' }, data(0), { type: 'refresh' }, { type: 'online' }).done()).toEqual([]);
    expect(rig.label()).toBe('Disconnected');
  });
  it('events of links that are gone change nothing', () => {
    const rig = onSocket();
    const before = rig.state;
    rig.send({ type: 'heard', rank: 1 }, data(1), { type: 'closed', rank: 1, problem: problem('network', 'late') });
    rig.send({ type: 'timer', name: 'watch1' }, { type: 'pollFailed', problem: problem('network', 'late') });
    expect(rig.state).toEqual(before);
  });
});
