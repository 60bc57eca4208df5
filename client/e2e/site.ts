import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { PipewatchServer } from './server';

/** No address looks so. */
export const NOTHING = /(?!)/;

type Behind = Pick<PipewatchServer, 'url' | 'isRunning'>;

/**
 * Stands before the server, and passes everything to it unless the test blocks it. Its address stays the same, wherever
 * the server is after another start.
 */
export class Site {
  readonly blocked = {
    socket: false,
    events: false,
    /** Addresses that are not answered. */
    held: NOTHING,
    /** Addresses at which there is nothing. */
    missing: NOTHING,
  };
  /** Event streams that are open now. */
  streams = 0;
  #server: Server;
  #sockets = new Set<Socket>();
  #behind: Behind;

  private constructor(behind: Behind) {
    this.#behind = behind;
    this.#server = createServer((incoming, response) => this.#pass(incoming, response));
    this.#server.on('upgrade', (incoming, socket: Socket, head) => this.#upgrade(incoming, socket, head));
  }

  static async start(behind: Behind): Promise<Site> {
    const site = new Site(behind);
    site.#server.listen(0, '127.0.0.1');
    await once(site.#server, 'listening');
    return site;
  }

  get #backend(): URL {
    return new URL(this.#behind.url);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Blocks a way from now on, and cuts what runs over it. */
  block(what: Partial<Site['blocked']>) {
    Object.assign(this.blocked, what);
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #pass(incoming: IncomingMessage, response: ServerResponse) {
    const isStream = incoming.headers.accept?.includes('text/event-stream') ?? false;
    if (isStream && this.blocked.events) {
      incoming.socket.destroy();
      return;
    }
    const path = incoming.url ?? '/';
    if (this.blocked.held.test(path)) {
      this.#sockets.add(incoming.socket);
      return;
    }
    if (this.blocked.missing.test(path)) {
      response.writeHead(404).end();
      return;
    }
    if (!this.#behind.isRunning) {
      response.writeHead(502).end();
      return;
    }
    const headers = { ...incoming.headers, host: this.#backend.host };
    if (headers.origin) headers.origin = this.#backend.origin;
    const outgoing = request(
      new URL(path, this.#backend),
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
    if (!this.#behind.isRunning) {
      socket.destroy();
      return;
    }
    const backend = connect(Number(this.#backend.port), this.#backend.hostname, () => {
      const headers = { ...incoming.headers, host: this.#backend.host, origin: this.#backend.origin };
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
