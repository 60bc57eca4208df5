import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.ttf': 'font/ttf',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
};
const POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'";
const GRAPHIQL_POLICY = `${POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")}; worker-src 'self' blob:`;

/** Serves the built pages as the server will, and passes everything else to it unless the test blocks it. */
export class Site {
  readonly blocked = { socket: false, events: false };
  /** Event streams that are open now. */
  streams = 0;
  #server: Server;
  #sockets = new Set<Socket>();
  #backend: URL;

  private constructor(backend: string) {
    this.#backend = new URL(backend);
    this.#server = createServer((incoming, response) => void this.#handle(incoming, response));
    this.#server.on('upgrade', (incoming, socket: Socket, head) => this.#upgrade(incoming, socket, head));
  }

  static async start(backend: string): Promise<Site> {
    const site = new Site(backend);
    site.#server.listen(0, '127.0.0.1');
    await once(site.#server, 'listening');
    return site;
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

  async #handle(incoming: IncomingMessage, response: ServerResponse) {
    const { pathname } = new URL(incoming.url ?? '/', 'http://site');
    if (/^\/(graphql|api|metrics)(\/|$)/.test(pathname)) return this.#pass(incoming, response);
    const isGraphiql = pathname.startsWith('/graphiql');
    const path = pathname === '/graphiql' ? '/graphiql/index.html' : pathname === '/' ? '/index.html' : pathname;
    const file = isGraphiql ? path : `dashboard${path}`;
    try {
      const body = await readFile(join(DIST, normalize(file)));
      response.writeHead(200, {
        'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
        'content-security-policy': isGraphiql ? GRAPHIQL_POLICY : POLICY,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }

  #pass(incoming: IncomingMessage, response: ServerResponse) {
    const isStream = incoming.headers.accept?.includes('text/event-stream') ?? false;
    if (isStream && this.blocked.events) {
      incoming.socket.destroy();
      return;
    }
    const outgoing = request(
      new URL(incoming.url ?? '/', this.#backend),
      { method: incoming.method, headers: { ...incoming.headers, host: this.#backend.host }, agent: false },
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
