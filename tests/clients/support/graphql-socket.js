import assert from 'node:assert/strict';

import { UPDATES } from './operations.js';
import { isAtLeast } from './server.js';
import { Socket } from './socket.js';

export const PROTOCOL = 'graphql-transport-ws';

/** A graphql-transport-ws connection, message by message. */
export class GraphqlSocket {
  /** The underlying WebSocket. */
  socket;
  #pings = 0;

  /** Opens a connection without `connection_init`. */
  static async connect(t, server) {
    const opened = new GraphqlSocket();
    opened.socket = await Socket.open(t, server.socketUrl('/graphql'), [PROTOCOL]);
    return opened;
  }

  /** Opens a connection and initialises it. */
  static async open(t, server) {
    const opened = await GraphqlSocket.connect(t, server);
    opened.send({ type: 'connection_init' });
    assert.equal((await opened.take('the acknowledgement')).type, 'connection_ack');
    return opened;
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  subscribe(id, query, variables, more) {
    this.send({ id, type: 'subscribe', payload: { query, variables, ...more } });
  }

  complete(id) {
    this.send({ id, type: 'complete' });
  }

  /** The next message of any type. */
  take(what) {
    return this.socket.json(what);
  }

  /** Asserts that the next message is `next` of this id and returns its payload. */
  async takeNext(id) {
    const { payload, ...head } = await this.take(`next of ${id}`);
    assert.deepEqual(head, { id, type: 'next' }, short({ ...head, payload }));
    return payload;
  }

  /** Asserts that the next message is `complete` of this id. */
  async takeComplete(id) {
    assert.deepEqual(await this.take(`complete of ${id}`), { id, type: 'complete' });
  }

  /** Asserts that the next message is `error` of this id and returns its errors. */
  async takeError(id) {
    const { payload, ...head } = await this.take(`error of ${id}`);
    assert.deepEqual(head, { id, type: 'error' }, short({ ...head, payload }));
    assert.ok(Array.isArray(payload) && payload.length > 0, 'the payload is the list of errors');
    for (const error of payload) assert.equal(typeof error.message, 'string', JSON.stringify(error));
    return payload;
  }

  /** Subscribes to a pipeline and returns the first status. */
  async watch(id, pipeline) {
    this.subscribe(id, UPDATES, { pipeline });
    return (await this.takeNext(id)).data.pipelineStatusUpdates;
  }

  /** The first status of this id that is not older than the revision; skips other messages. */
  async statusOf(id, revision) {
    const isIt = (message) => message.id === id && isAtLeast(message.payload.data.pipelineStatusUpdates, revision);
    const message = await this.socket.jsonUntil(`revision ${revision} for ${id}`, isIt);
    return message.payload.data.pipelineStatusUpdates;
  }

  /**
   * The messages before the pong to a ping that is sent now. The server processes messages in order, so they include
   * everything it sends for earlier messages, also what it must not send.
   */
  async settle() {
    const number = (this.#pings += 1);
    this.send({ type: 'ping', payload: { number } });
    const before = [];
    for (;;) {
      const message = await this.take('the pong');
      if (message.type === 'pong' && message.payload?.number === number) return before;
      before.push(message);
    }
  }

  /** Asserts the close code, and that the reason fits into a close frame. */
  async assertClosed(code, reason) {
    const closed = await this.socket.closed();
    assert.equal(closed.code, code, closed.reason);
    const bytes = Buffer.byteLength(closed.reason);
    assert.ok(bytes > 0 && bytes <= 123, `a reason of ${bytes} bytes`);
    if (reason) assert.equal(closed.reason, reason);
  }
}

/** A message shortened for a failure report. */
function short(message) {
  return JSON.stringify(message).slice(0, 300);
}
