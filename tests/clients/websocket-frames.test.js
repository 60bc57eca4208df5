// RFC 6455: frames, on both kinds of WebSocket.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { GraphqlSocket, PROTOCOL } from './support/graphql-socket.js';
import { BINARY, CLOSE, CONTINUATION, PING, PONG, RawSocket, TEXT } from './support/raw-socket.js';
import { Server } from './support/server.js';
import { Socket } from './support/socket.js';

const LIMIT = 64 * 1024;
const PLAIN = '/api/v1/ws/monitoring/pipeline-status';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const graphql = (t) => RawSocket.open(t, server, '/graphql', PROTOCOL);

async function plain(t) {
  const socket = await RawSocket.open(t, server, PLAIN);
  await socket.text('the first status');
  return socket;
}

const KINDS = { graphql, plain };

/** Frames that are malformed according to RFC 6455, section 5. */
const MALFORMED = {
  'an unmasked frame': (socket) => socket.send(TEXT, '{"type":"ping"}', { isMasked: false }),
  'an unmasked ping': (socket) => socket.send(PING, '', { isMasked: false }),
  'the reserved opcode 3': (socket) => socket.send(3, 'x'),
  'the reserved opcode 7': (socket) => socket.send(7, 'x'),
  'the reserved opcode 11': (socket) => socket.send(11, 'x'),
  'the reserved opcode 15': (socket) => socket.send(15, 'x'),
  'a reserved bit': (socket) => socket.send(TEXT, '{"type":"ping"}', { reserved: 4 }),
  'a continuation of nothing': (socket) => socket.send(CONTINUATION, 'x'),
  'a message inside another': (socket) => {
    socket.send(TEXT, '{"type":', { isFinal: false });
    socket.send(TEXT, '"ping"}');
  },
  'a fragmented ping': (socket) => socket.send(PING, 'x', { isFinal: false }),
  'a ping of 126 bytes': (socket) => socket.send(PING, 'x'.repeat(126)),
  'a close frame of one byte': (socket) => socket.send(CLOSE, 'x'),
  'a reserved close code': (socket) => socket.send(CLOSE, Buffer.from([0x03, 0xed])),
};

for (const [kind, open] of Object.entries(KINDS)) {
  for (const [what, send] of Object.entries(MALFORMED)) {
    test(`${what} closes with 1002 (${kind})`, async (t) => {
      const socket = await open(t);
      send(socket);
      assert.equal(await socket.closeCode(), 1002);
    });
  }

  const INVALID = { 'no UTF-8': [0xff], 'half a character': [0xc3], 'a surrogate': [0xed, 0xa0, 0x80] };
  for (const [what, bytes] of Object.entries(INVALID)) {
    test(`text that is ${what} closes with 1007 (${kind})`, async (t) => {
      const socket = await open(t);
      socket.send(TEXT, Buffer.from(bytes));
      assert.equal(await socket.closeCode(), 1007);
    });
  }

  test(`text with invalid UTF-8 in a later fragment closes with 1007 (${kind})`, async (t) => {
    const socket = await open(t);
    socket.send(TEXT, 'good', { isFinal: false });
    socket.send(CONTINUATION, Buffer.from([0xff]));
    assert.equal(await socket.closeCode(), 1007);
  });

  for (const code of [1000, 1001, 3000, 4999]) {
    test(`close with ${code} is answered with the same code (${kind})`, async (t) => {
      const socket = await open(t);
      socket.send(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from('bye')]));
      assert.equal(await socket.closeCode(), code);
    });
  }

  test(`close without a code is answered (${kind})`, async (t) => {
    const socket = await open(t);
    socket.send(CLOSE);
    assert.ok([undefined, 1000].includes(await socket.closeCode()));
  });

  test(`WebSocket ping is answered with its data (${kind})`, async (t) => {
    const socket = await open(t);
    socket.send(PING, 'are you there?');
    const { opcode, payload } = await socket.frames.take('the pong');
    assert.deepEqual([opcode, payload.toString()], [PONG, 'are you there?']);
  });

  test(`unsolicited WebSocket pong is ignored (${kind})`, async (t) => {
    const socket = await open(t);
    socket.send(PONG, 'x');
    socket.send(PING, 'still there');
    assert.equal((await socket.frames.take('the pong')).payload.toString(), 'still there');
  });
}

test('fragmented message is one message, even with a ping in between', async (t) => {
  const socket = await graphql(t);
  // The fragments split a character.
  const message = Buffer.from('{"type":"ping","payload":{"letter":"ß"}}');
  const cut = message.indexOf(0xc3) + 1;
  socket.send(TEXT, message.subarray(0, cut), { isFinal: false });
  socket.send(PING, 'between');
  socket.send(CONTINUATION, '', { isFinal: false });
  socket.send(CONTINUATION, message.subarray(cut));
  assert.equal((await socket.frames.take('the pong frame')).opcode, PONG);
  assert.deepEqual(JSON.parse(await socket.text('the pong')), { type: 'pong', payload: { letter: 'ß' } });
});

test('message that arrives byte by byte is read', async (t) => {
  const socket = await graphql(t);
  const text = '{"type":"ping"}';
  socket.sendBytes([0x81]);
  socket.sendBytes([0x80 | text.length]);
  socket.sendBytes([0, 0, 0, 0]);
  for (const byte of Buffer.from(text)) socket.sendBytes([byte]);
  assert.deepEqual(JSON.parse(await socket.text('the pong')), { type: 'pong' });
});

test('fragmented binary message closes with 4400', async (t) => {
  const socket = await graphql(t);
  socket.send(BINARY, '{"type":', { isFinal: false });
  socket.send(CONTINUATION, '"ping"}');
  assert.equal(await socket.closeCode(), 4400);
});

/** A ping message of this many bytes. */
function pingOf(bytes) {
  const frame = '{"type":"ping","payload":{"filler":""}}';
  return frame.replace('""', `"${'x'.repeat(bytes - frame.length)}"`);
}

test('message of exactly 64 KiB is accepted', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  socket.socket.send(pingOf(LIMIT));
  assert.equal((await socket.take('the pong')).type, 'pong');
});

test('message over 64 KiB closes with 1009 without affecting other connections', async (t) => {
  const other = await GraphqlSocket.open(t, server);
  const pipeline = await server.pipeline();
  await other.watch('1', pipeline);
  const socket = await GraphqlSocket.open(t, server);
  socket.socket.send(pingOf(LIMIT + 1));
  assert.equal((await socket.socket.closed()).code, 1009);
  await other.statusOf('1', await server.report(pipeline));
});

test('fragments over 64 KiB close with 1009', async (t) => {
  const socket = await GraphqlSocket.open(t, server);
  const text = pingOf(LIMIT + 1);
  for (let at = 0; at < text.length; at += 10_000) {
    socket.socket.send(text.slice(at, at + 10_000), { fin: at + 10_000 >= text.length });
  }
  assert.equal((await socket.socket.closed()).code, 1009);
});

test('header of a huge frame closes with 1009', async (t) => {
  const socket = await graphql(t);
  // 2⁶² bytes announced, none sent.
  socket.sendBytes([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
  assert.equal(await socket.closeCode(), 1009);
});

test('subprotocols can be in several header lines', async (t) => {
  const lines = [
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Protocol: graphql-ws',
    `Sec-WebSocket-Protocol: ${PROTOCOL}`,
  ];
  const { head, socket } = await RawSocket.handshake(t, server, '/graphql', lines);
  assert.ok(socket, head);
  assert.match(head.toLowerCase(), new RegExp(`sec-websocket-protocol: ${PROTOCOL}(\r|$)`));
});

for (const path of ['/graphql', PLAIN]) {
  test(`unsupported WebSocket version is refused with the supported one, at ${path}`, async (t) => {
    const lines = ['Sec-WebSocket-Version: 12', `Sec-WebSocket-Protocol: ${PROTOCOL}`];
    const { head } = await RawSocket.handshake(t, server, path, lines);
    assert.match(head, /^HTTP\/1\.1 (400|426) /);
    assert.match(head.toLowerCase(), /sec-websocket-version: 13(\r|$)/);
  });
}

test('compression that was not offered is not negotiated', async (t) => {
  const { head } = await RawSocket.handshake(t, server, PLAIN, ['Sec-WebSocket-Version: 13']);
  assert.doesNotMatch(head.toLowerCase(), /sec-websocket-extensions/);
});

test('client can disconnect without a close frame', async (t) => {
  const pipeline = await server.pipeline();
  const gone = await Socket.open(t, server.socketUrl(`${PLAIN}?pipeline=${pipeline}`));
  await gone.json('the first status');
  gone.terminate();
  const other = await Socket.open(t, server.socketUrl(`${PLAIN}?pipeline=${pipeline}`));
  await other.json('the first status');
  const revision = await server.report(pipeline);
  await other.jsonUntil('the change', (status) => status.revision === revision);
});
