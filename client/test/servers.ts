import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buildSchema, type ExecutionArgs, parse } from 'graphql';
import { createHandler } from 'graphql-sse/lib/use/http';
import { useServer as speak } from 'graphql-ws/use/ws';
import { afterEach } from 'vitest';
import { WebSocketServer } from 'ws';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

/** What the servers' subscriptions yield; a test puts values in and ends them. */
export class Source {
  #items: unknown[] = [];
  #wake = () => {};
  #isOver = false;
  /** Subscriptions that were started and have not ended. */
  active = 0;

  put(value: unknown) {
    this.#items.push(value);
    this.#wake();
  }

  end() {
    this.#isOver = true;
    this.#wake();
  }

  iterate(field: string): AsyncGenerator<Record<string, unknown>> {
    this.active += 1;
    let next = 0;
    let isReturned = false;
    const source = this;
    let wake = () => {};
    const previous = this.#wake;
    this.#wake = () => {
      previous();
      wake();
    };
    // Written out, since a generator that waits cannot be told to return.
    const iterator = {
      async next() {
        while (next >= source.#items.length && !source.#isOver && !isReturned)
          await new Promise<void>((resolve) => (wake = resolve));
        if (isReturned || next >= source.#items.length) return iterator.return();
        return { value: { [field]: source.#items[next++] }, done: false as const };
      },
      async return() {
        if (!isReturned) source.active -= 1;
        isReturned = true;
        wake();
        return { value: undefined, done: true as const };
      },
      async throw(error: unknown) {
        throw error;
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator as unknown as AsyncGenerator<Record<string, unknown>>;
  }
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** An HTTP server of the test that runs. */
export async function serve(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ url: string; server: Server }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`, server };
}

function rootValue(source: Source) {
  const subscribe = () => source.iterate('pipelineStatusUpdates');
  return { pipelineStatusUpdates: subscribe };
}

/** The reference implementation of graphql-sse. */
export async function serveSse(source: Source, authenticate?: (request: IncomingMessage) => boolean) {
  const requests: string[] = [];
  const handler = createHandler({
    schema,
    onSubscribe: (_, params) => {
      const args: ExecutionArgs & { contextValue: undefined } = {
        contextValue: undefined,
        schema,
        document: parse(params.query),
        variableValues: params.variables ?? null,
        rootValue: rootValue(source),
      };
      return args;
    },
  });
  const { url } = await serve((request, response) => {
    requests.push(`${request.method} ${request.headers.authorization ?? ''}`.trim());
    if (authenticate && !authenticate(request)) response.writeHead(401).end();
    else handler(request, response);
  });
  return { url, requests };
}

/** The reference implementation of graphql-transport-ws. */
export async function serveSocket(source: Source, onConnect: (params: unknown) => boolean = () => true) {
  const { url, server } = await serve((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ server, path: '/graphql' });
  const disposable = speak(
    {
      schema,
      roots: { subscription: rootValue(source) },
      onConnect: ({ connectionParams }) => onConnect(connectionParams),
    },
    sockets,
  );
  closers.unshift(async () => {
    for (const socket of sockets.clients) socket.terminate();
    await disposable.dispose();
  });
  return { url, sockets };
}
