import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buildSchema, type ExecutionArgs, parse } from 'graphql';
import { createHandler } from 'graphql-sse/lib/use/http';
import { useServer as serveGraphqlWs } from 'graphql-ws/use/ws';
import { afterEach } from 'vitest';
import { WebSocketServer } from 'ws';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

/** The values that the servers' subscriptions yield. */
export class Publisher {
  #items: unknown[] = [];
  #wake = () => {};
  #isEnded = false;
  /** The number of running subscriptions. */
  active = 0;
  /** The arguments of each subscription, in order. */
  readonly requests: unknown[] = [];

  publish(value: unknown) {
    this.#items.push(value);
    this.#wake();
  }

  end() {
    this.#isEnded = true;
    this.#wake();
  }

  iterate(field: string): AsyncGenerator<Record<string, unknown>> {
    this.active += 1;
    let next = 0;
    let isReturned = false;
    const publisher = this;
    let wake = () => {};
    const previous = this.#wake;
    this.#wake = () => {
      previous();
      wake();
    };
    // Not a generator, since a waiting generator cannot return early.
    const iterator = {
      async next() {
        while (next >= publisher.#items.length && !publisher.#isEnded && !isReturned)
          await new Promise<void>((resolve) => (wake = resolve));
        if (isReturned || next >= publisher.#items.length) return iterator.return();
        return { value: { [field]: publisher.#items[next++] }, done: false as const };
      },
      async return() {
        if (!isReturned) publisher.active -= 1;
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

/** Starts an HTTP server that stops after the running test. */
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

function rootValue(publisher: Publisher) {
  return {
    pipelineStatusUpdates(requestArguments: unknown) {
      publisher.requests.push(requestArguments);
      return publisher.iterate('pipelineStatusUpdates');
    },
  };
}

/** The reference implementation of graphql-sse. */
export async function serveSse(publisher: Publisher, authenticate?: (request: IncomingMessage) => boolean) {
  const requests: string[] = [];
  const handler = createHandler({
    schema,
    onSubscribe: (_, params) => {
      const args: ExecutionArgs & { contextValue: undefined } = {
        contextValue: undefined,
        schema,
        document: parse(params.query),
        variableValues: params.variables ?? null,
        rootValue: rootValue(publisher),
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
export async function serveSocket(publisher: Publisher, onConnect: (params: unknown) => boolean = () => true) {
  const { url, server } = await serve((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ server, path: '/graphql' });
  const disposable = serveGraphqlWs(
    {
      schema,
      roots: { subscription: rootValue(publisher) },
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
