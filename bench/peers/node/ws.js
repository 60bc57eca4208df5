import { WebSocket, WebSocketServer } from 'ws';
import { render } from './status.js';

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  path: '/ws',
  backlog: 4096,
  perMessageDeflate: false,
});

server.on('listening', () => {
  console.log('ready');
  setInterval(() => {
    const data = Buffer.from(render());
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
    }
  }, 1000);
});
