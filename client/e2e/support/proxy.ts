import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { PipewatchServer } from './server';

/** Matches no path. */
export const NO_PATH = /(?!)/;

type Backend = Pick<PipewatchServer, 'url' | 'isRunning'>;

/** A proxy with a stable URL that forwards everything to the server, except for what the test blocks. */
export class FaultProxy {
  readonly blocked = {
    socket: false,
    events: false,
    /** Paths whose requests get no response. */
    unanswered: NO_PATH,
    /** Paths that respond 404. */
    missing: NO_PATH,
  };
  /** The number of open event streams. */
  streams = 0;
  #server: Server;
  #sockets = new Set<Socket>();
  #backend: Backend;

  private constructor(backend: Backend) {
    this.#backend = backend;
    this.#server = createServer((incoming, response) => this.#forward(incoming, response));
    this.#server.on('upgrade', (incoming, socket: Socket, head) => this.#upgrade(incoming, socket, head));
  }

  static async start(backend: Backend): Promise<FaultProxy> {
    const proxy = new FaultProxy(backend);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get #backendUrl(): URL {
    return new URL(this.#backend.url);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Updates the blocked paths and transports, and closes all open connections. */
  block(changes: Partial<FaultProxy['blocked']>) {
    Object.assign(this.blocked, changes);
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Forwards to another server from now on. */
  switchTo(backend: Backend) {
    this.#backend = backend;
    this.block({});
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #forward(incoming: IncomingMessage, response: ServerResponse) {
    const isStream = incoming.headers.accept?.includes('text/event-stream') ?? false;
    if (isStream && this.blocked.events) {
      incoming.socket.destroy();
      return;
    }
    const path = incoming.url ?? '/';
    if (this.blocked.unanswered.test(path)) {
      this.#sockets.add(incoming.socket);
      return;
    }
    if (this.blocked.missing.test(path)) {
      response.writeHead(404).end();
      return;
    }
    if (!this.#backend.isRunning) {
      response.writeHead(502).end();
      return;
    }
    const headers = { ...incoming.headers, host: this.#backendUrl.host };
    if (headers.origin) headers.origin = this.#backendUrl.origin;
    const outgoing = request(
      new URL(path, this.#backendUrl),
      { method: incoming.method, headers, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        answer.on('error', () => response.destroy());
        if (!isStream) return;
        this.streams += 1;
        this.#sockets.add(incoming.socket);
        response.on('close', () => {
          this.streams -= 1;
          this.#sockets.delete(incoming.socket);
        });
      },
    );
    response.on('close', () => outgoing.destroy());
    outgoing.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    incoming.pipe(outgoing);
  }

  #upgrade(incoming: IncomingMessage, socket: Socket, head: Buffer) {
    socket.on('error', () => {});
    if (this.blocked.socket) {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    if (!this.#backend.isRunning) {
      socket.destroy();
      return;
    }
    const backend = connect(Number(this.#backendUrl.port), this.#backendUrl.hostname, () => {
      const headers = { ...incoming.headers, host: this.#backendUrl.host, origin: this.#backendUrl.origin };
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      backend.write([`${incoming.method} ${incoming.url} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
      backend.write(head);
      backend.pipe(socket).pipe(backend);
    });
    this.#sockets.add(socket);
    const end = () => {
      this.#sockets.delete(socket);
      socket.destroy();
      backend.destroy();
    };
    backend.on('error', end).on('close', end);
    socket.on('close', end);
  }
}
