import { EventEmitter, on } from 'node:events';
import { readFileSync } from 'node:fs';
import { buildSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import { now, status } from './status.js';

const schema = buildSchema(readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'));
const bus = new EventEmitter().setMaxListeners(0);

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  path: '/graphql',
  backlog: 4096,
  perMessageDeflate: false,
});

const roots = {
  query: { status: () => ({ ...status, timestamp: now() }) },
  subscription: {
    async *status() {
      for await (const [status] of on(bus, 'status')) yield { status };
    },
  },
};
useServer({ schema, roots }, server, 0); // no pings, like all peers

server.on('listening', () => {
  console.log('ready');
  setInterval(() => bus.emit('status', { ...status, timestamp: now() }), 1000);
});
