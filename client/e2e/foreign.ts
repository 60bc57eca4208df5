import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createListener, type Socket } from 'node:net';

const PAGE = '<!doctype html><title>foreign</title><body>';

/** An empty page of another site: `localhost`, to which 127.0.0.1 is as foreign as any address. */
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
 * A name of the attacker's that means another address from one request to the next: first that of a page, and then the
 * server's. A browser resolves a name once, so the address stays here, and what comes to it is passed on as it is.
 */
export class ReboundSite {
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

  /** Has the server's port, as the origin of a page has one. */
  static async start(server: string): Promise<ReboundSite> {
    const site = new ReboundSite(Number(new URL(server).port));
    site.#listener.listen(site.port, ReboundSite.ADDRESS);
    await once(site.#listener, 'listening');
    return site;
  }

  get origin(): string {
    return `http://${ReboundSite.HOST}:${this.port}`;
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }
}

/** What a way of attacking brought: what the page could read, or why it could read nothing. */
export type Found = Record<string, { read?: string; failed?: string }>;

/** Runs in a page, and tries every way that it has to read from a server or to change something there. */
export async function attack(target: string): Promise<Found> {
  const removal = 'mutation { removePipeline(pipeline: "victim") }';
  const body = JSON.stringify({ query: removal });
  const status = `${target}/api/v1/monitoring/pipeline-status?pipeline=victim`;
  const query = (text: string) => `${target}/graphql?query=${encodeURIComponent(text)}`;
  const socket = target.replace('http', 'ws');
  const run = JSON.stringify({ source: 'evil', timestamp: new Date().toISOString(), articles_collected: 1_000 });
  const found: Found = {};

  async function by(name: string, way: () => Promise<string>) {
    const slow = new Promise<never>((_, reject) => setTimeout(() => reject(new Error('nothing came')), 5_000));
    try {
      found[name] = { read: await Promise.race([way(), slow]) };
    } catch (error) {
      found[name] = { failed: String(error) };
    }
  }

  function element(name: 'img' | 'script' | 'iframe', src: string): Promise<HTMLElement> {
    return new Promise((resolve, reject) => {
      const made = document.createElement(name);
      made.onload = () => resolve(made);
      made.onerror = () => reject(new Error('an error event'));
      made.setAttribute('src', src);
      document.body.append(made);
    });
  }

  /** Posts a form into a frame, whose document the page then tries to read. */
  async function form(method: string, enctype: string, action: string, fields: Record<string, string>) {
    const frame = document.createElement('iframe');
    frame.name = `frame-${Math.random()}`;
    const made = document.createElement('form');
    Object.assign(made, { method, enctype, action, target: frame.name });
    for (const [name, value] of Object.entries(fields)) {
      const input = document.createElement('input');
      Object.assign(input, { name, value });
      made.append(input);
    }
    document.body.append(frame, made);
    // The empty frame has been loaded by now; what comes next is the answer.
    const loaded = new Promise((resolve) => frame.addEventListener('load', resolve));
    made.submit();
    await loaded;
    return frame.contentDocument?.body.innerText || Promise.reject(new Error('the document is not readable'));
  }

  async function fetched(url: string, init?: RequestInit) {
    const response = await fetch(url, init);
    if (response.type === 'opaque') throw new Error('an opaque response');
    const text = await response.text();
    if (!response.ok) throw new Error(`status ${response.status}`);
    return text;
  }

  const first = (target: EventTarget, type: string) =>
    new Promise<string>((resolve, reject) => {
      target.addEventListener(type, (event) => resolve(String((event as MessageEvent).data)));
      target.addEventListener('error', () => reject(new Error('an error event')));
    });

  await by('img of the status', async () => (await element('img', status)).outerHTML);
  await by('img of a query', async () => (await element('img', query('{ pipelines { key } }'))).outerHTML);
  await by('img of a mutation', async () => (await element('img', query(removal))).outerHTML);
  await by('script of the status', async () => (await element('script', status)).outerHTML);
  await by('iframe of the status', async () => {
    const frame = (await element('iframe', status)) as HTMLIFrameElement;
    return frame.contentDocument?.body.innerText || Promise.reject(new Error('the document is not readable'));
  });
  await by('fetch', () => fetched(status));
  await by('fetch of metrics', () => fetched(`${target}/metrics`));
  await by('fetch without CORS', () => fetched(status, { mode: 'no-cors' }));
  await by('fetch with credentials', () => fetched(status, { credentials: 'include' }));
  const json = { 'content-type': 'application/json' };
  await by('fetch of a mutation', () => fetched(`${target}/graphql`, { method: 'POST', headers: json, body }));
  const text = { 'content-type': 'text/plain' };
  for (const mode of ['cors', 'no-cors'] as const) {
    const post = (path: string, body: string) => fetched(target + path, { method: 'POST', mode, headers: text, body });
    await by(`fetch of a mutation as text, ${mode}`, () => post('/graphql', body));
    await by(`fetch of a report as text, ${mode}`, () => post('/api/v1/source-runs?pipeline=victim', run));
  }
  await by('beacon', async () => {
    if (navigator.sendBeacon(`${target}/graphql`, body)) throw new Error('sent, and nothing to read');
    return 'not sent';
  });
  // `name=value` as text makes JSON, if the equals sign is in a string.
  const trick = { [`${body.slice(0, -1)},"a":"`]: '"}' };
  await by('form as text', () => form('POST', 'text/plain', `${target}/graphql`, trick));
  const fields = { query: removal };
  await by('form', () => form('POST', 'application/x-www-form-urlencoded', `${target}/graphql`, fields));
  await by('form by GET', () => form('GET', '', `${target}/graphql`, fields));
  // The pipeline that stays, even where the ways before this one work.
  const stream = `${target}/api/v1/monitoring/pipeline-status/stream`;
  await by('EventSource', () => first(new EventSource(stream), 'status'));
  const subscription = query('subscription { pipelineStatusUpdates(pipeline: "victim") { revision } }');
  await by('EventSource of GraphQL', () => first(new EventSource(subscription), 'next'));
  await by('WebSocket', () => first(new WebSocket(`${socket}/api/v1/ws/monitoring/pipeline-status`), 'message'));
  await by('WebSocket of GraphQL', async () => {
    const opened = new WebSocket(`${socket}/graphql`, 'graphql-transport-ws');
    const acknowledged = first(opened, 'message');
    opened.addEventListener('open', () => opened.send('{"type":"connection_init"}'));
    await acknowledged;
    const answered = first(opened, 'message');
    opened.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: removal } }));
    return answered;
  });
  return found;
}
