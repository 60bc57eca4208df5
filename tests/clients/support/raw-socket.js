import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

import { Mailbox } from './mailbox.js';
import { within } from './within.js';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** A WebSocket with full control of its bytes, for input that no client library sends. */
export class RawSocket {
  /** Received frames: `{ isFinal, opcode, payload }`. Ends with the TCP connection. */
  frames = new Mailbox();
  #tcp;
  #saidClose = false;

  /** The response to a handshake with these header lines: its head, and the socket if it was accepted. */
  static async handshake(t, server, path, lines) {
    const { host, hostname, port } = new URL(server.url);
    const tcp = connect({ host: hostname, port: Number(port), noDelay: true });
    t.after(() => tcp.destroy());
    const key = randomBytes(16).toString('base64');
    const head = [`GET ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: Upgrade', 'Upgrade: websocket'];
    tcp.write([...head, `Sec-WebSocket-Key: ${key}`, ...lines, '', ''].join('\r\n'));
    return within(
      new Promise((resolve, reject) => {
        const socket = new RawSocket();
        socket.#tcp = tcp;
        let received = Buffer.alloc(0);
        tcp.on('error', reject);
        tcp.on('close', () => {
          reject(new Error('the connection ended in the handshake'));
          socket.frames.end('the TCP connection ended');
        });
        tcp.on('data', (data) => {
          received = Buffer.concat([received, data]);
          if (!socket.head) {
            const end = received.indexOf('\r\n\r\n');
            if (end < 0) return;
            socket.head = received.subarray(0, end).toString();
            received = received.subarray(end + 4);
            resolve({ head: socket.head, socket: socket.head.startsWith('HTTP/1.1 101 ') ? socket : undefined });
          }
          if (socket.head.startsWith('HTTP/1.1 101 ')) received = socket.#read(received);
        });
      }),
      `the handshake at ${path}`,
    );
  }

  /** Opens a WebSocket at a path, with an optional subprotocol. */
  static async open(t, server, path, protocol) {
    const lines = ['Sec-WebSocket-Version: 13'];
    if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
    const { head, socket } = await RawSocket.handshake(t, server, path, lines);
    if (!socket) throw new Error(head);
    return socket;
  }

  /** Sends one frame, valid or invalid. */
  send(opcode, payload = '', { isFinal = true, reserved = 0, isMasked = true } = {}) {
    if (opcode === CLOSE) this.#saidClose = true;
    const data = Buffer.from(payload);
    const length = [data.length];
    if (data.length > 125) length.splice(0, 1, 126, data.length >> 8, data.length & 255);
    if (data.length > 0xffff) throw new Error('frames here are short');
    length[0] |= isMasked ? 0x80 : 0;
    const mask = isMasked ? randomBytes(4) : Buffer.alloc(0);
    if (isMasked) for (let at = 0; at < data.length; at += 1) data[at] ^= mask[at % 4];
    const first = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode;
    this.#tcp.write(Buffer.concat([Buffer.from([first, ...length]), mask, data]));
  }

  sendText(text) {
    this.send(TEXT, text);
  }

  /** Sends raw bytes. */
  sendBytes(bytes) {
    this.#tcp.write(Buffer.from(bytes));
  }

  /** The next frame as text. */
  async text(what) {
    const frame = await this.frames.take(what);
    if (frame.opcode !== TEXT || !frame.isFinal) throw new Error(`${what}: a frame of opcode ${frame.opcode} came`);
    return frame.payload.toString();
  }

  /** The code of the close frame, or undefined without one; the TCP connection must end after it. */
  async closeCode() {
    const close = await this.frames.takeUntil('the close frame', ({ opcode }) => opcode === CLOSE);
    if (!this.#saidClose) this.send(CLOSE, close.payload);
    const after = await this.frames.takeAll('the TCP connection');
    if (after.length > 0) throw new Error(`${after.length} frames came after the close frame`);
    return close.payload.length === 0 ? undefined : close.payload.readUInt16BE(0);
  }

  /** Parses complete frames and returns the remaining bytes. */
  #read(received) {
    for (;;) {
      if (received.length < 2) return received;
      let length = received[1] & 127;
      let start = 2;
      if (length === 126) start = 4;
      if (length === 127) start = 10;
      if (received.length < start) return received;
      if (length === 126) length = received.readUInt16BE(2);
      if (length === 127) length = Number(received.readBigUInt64BE(2));
      if (received.length < start + length) return received;
      const payload = Buffer.from(received.subarray(start, start + length));
      this.frames.put({ isFinal: received[0] >= 128, opcode: received[0] & 15, payload });
      received = received.subarray(start + length);
    }
  }
}
