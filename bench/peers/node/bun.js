import { render } from './status.js';

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request, server) {
    if (new URL(request.url).pathname !== '/ws') return new Response('Not found', { status: 404 });
    if (!server.upgrade(request)) return new Response('WebSocket only', { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    open: (ws) => ws.subscribe('status'),
    message() {},
  },
});

console.log('ready');
setInterval(() => server.publish('status', render()), 1000);
