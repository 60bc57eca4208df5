import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createListener, type Socket } from 'node:net';

const PAGE = '<!doctype html><title>foreign</title><body>';

/** An empty page of another site: `localhost`, which is cross-site to 127.0.0.1. */
export class ForeignSite {
  #server: Server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
  });

  static async start(): Promise<ForeignSite> {
    const site = new ForeignSite();
    site.#server.listen(0, 'localhost');
    await once(site.#server, 'listening');
    return site;
  }

  get origin(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/**
 * DNS rebinding: a host name of the attacker that resolves first to the attacker's page and then to the server. Browsers cache
 * the resolved address, so here the address stays the same and later connections are forwarded to the server unchanged.
 */
export class RebindingSite {
  static readonly HOST = 'rebind.example';
  static readonly ADDRESS = '127.0.0.2';
  #sockets = new Set<Socket>();
  #listener = createListener((socket) => {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', (head) => {
      if (head.toString('latin1').startsWith('GET /attack ')) {
        socket.end(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n${PAGE}`);
        return;
      }
      const server = connect(this.port, '127.0.0.1');
      server.on('error', () => socket.destroy());
      server.write(head);
      server.pipe(socket).pipe(server);
    });
  });

  private constructor(readonly port: number) {}

  /** Listens on the server's port, since the port is part of the origin. */
  static async start(server: string): Promise<RebindingSite> {
    const site = new RebindingSite(Number(new URL(server).port));
    site.#listener.listen(site.port, RebindingSite.ADDRESS);
    await once(site.#listener, 'listening');
    return site;
  }

  get origin(): string {
    return `http://${RebindingSite.HOST}:${this.port}`;
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }
}
