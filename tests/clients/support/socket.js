import WebSocket from 'ws';

import { Mailbox } from './mailbox.js';
import { within } from './within.js';

/** A WebSocket, closed at the end of the test `t`. */
export class Socket {
  /** The messages: `{ text }` or `{ binary }`. */
  messages = new Mailbox();
  #inner;
  #closed;

  /** Opens a WebSocket; an error when the handshake is refused. */
  static async open(t, url, protocols = []) {
    const { socket, refusal } = await Socket.handshake(t, url, protocols);
    if (refusal) throw new Error(`the handshake with ${url} was refused with ${refusal.statusCode}`);
    return socket;
  }

  /** A WebSocket, or the HTTP response that refuses it. */
  static async handshake(t, url, protocols = []) {
    const inner = new WebSocket(url, protocols);
    t.after(() => inner.terminate());
    const socket = new Socket(inner);
    const answer = new Promise((resolve, reject) => {
      inner.once('open', () => resolve({ socket }));
      inner.once('unexpected-response', (_, refusal) => resolve({ refusal: refusal.resume() }));
      inner.on('error', reject);
    });
    return within(answer, `the handshake with ${url}`);
  }

  constructor(inner) {
    this.#inner = inner;
    inner.on('message', (data, isBinary) => this.messages.put(isBinary ? { binary: data } : { text: data.toString() }));
    this.#closed = new Promise((resolve) => {
      inner.once('close', (code, reason) => {
        this.messages.end(`${code} ${reason}`);
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  get protocol() {
    return this.#inner.protocol;
  }

  send(data, options) {
    this.#inner.send(data, options);
  }

  /** Sends a WebSocket ping frame and returns the data of the pong. */
  async ping(data) {
    const pong = new Promise((resolve) => this.#inner.once('pong', resolve));
    this.#inner.ping(data);
    return (await within(pong, 'a pong')).toString();
  }

  close(code, reason) {
    this.#inner.close(code, reason);
  }

  /** Stops reading from the network. */
  pause() {
    this.#inner.pause();
  }

  resume() {
    this.#inner.resume();
  }

  /** Disconnects without a close frame. */
  terminate() {
    this.#inner.terminate();
  }

  /** The close code and reason; 1006 when the connection ended without a close frame. */
  closed(milliseconds) {
    return within(this.#closed, 'the close', milliseconds);
  }

  /** The next text message as JSON. */
  async json(what) {
    const { text, binary } = await this.messages.take(what);
    if (binary) throw new Error(`${what}: a binary message came`);
    return JSON.parse(text);
  }

  /** The first text message whose JSON satisfies. */
  async jsonUntil(what, satisfies) {
    const { text } = await this.messages.takeUntil(what, ({ text }) => satisfies(JSON.parse(text)));
    return JSON.parse(text);
  }
}
