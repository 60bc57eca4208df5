import { expect, it } from 'vitest';
import { serve } from '../../../test/reference-servers';
import { status } from '../../../test/status-fixture';
import { statusOperation } from '../operation';
import type { FeedError } from '../problem';
import { polling } from './polling';

const operation = statusOperation('news', false);
const { signal } = new AbortController();

it('polls by GET with the previous ETag and the newest revision shown', async () => {
  const etags: (string | undefined)[] = [];
  let sinceRevision = 'null';
  const { url } = await serve((request, response) => {
    etags.push(request.headers['if-none-match']);
    const query = new URL(request.url ?? '', 'http://x').searchParams;
    expect([query.get('query'), query.get('variables')]).toEqual([
      operation.query,
      `{"pipeline":"news","all":false,"sinceRevision":${sinceRevision}}`,
    ]);
    if (request.headers['if-none-match'] === '"a"') response.writeHead(304).end();
    else
      response
        .writeHead(200, { etag: '"a"', 'content-type': 'application/json' })
        .end(JSON.stringify({ data: { pipelineStatus: status() } }));
  });
  const poll = polling(url, operation);
  expect(await poll('secret', signal, null)).toEqual(status());
  sinceRevision = '"100"';
  expect(await poll('secret', signal, status())).toBeNull();
  expect(etags).toEqual([undefined, '"a"']);
});

it('the ETag of an error is not sent', async () => {
  const { url } = await serve((request, response) => {
    if (request.headers['if-none-match']) response.writeHead(304).end();
    else {
      response.writeHead(200, { etag: '"e"', 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ data: null, errors: [{ message: 'none', extensions: { code: 'PIPELINE_NOT_FOUND' } }] }),
      );
    }
  });
  const poll = polling(url, operation);
  for (let polls = 0; polls < 2; polls += 1) {
    await expect(poll(null, signal, null)).rejects.toMatchObject({ problem: { kind: 'notFound' } });
  }
});

it.each([
  [200, { errors: [{ message: 'no', extensions: { code: 'PIPELINE_NOT_FOUND' } }] }, 'notFound'],
  [400, { errors: [{ message: 'no' }] }, 'fatal'],
  [200, { errors: [{ message: 'no', extensions: { code: 'INTERNAL' } }] }, 'network'],
  [401, {}, 'unauthorized'],
  [503, '<html>', 'network'],
  [200, '<html>', 'network'],
])('status %i with body %j is %s', async (code, body, kind) => {
  const { url } = await serve((_, response) => {
    response.writeHead(code, { 'content-type': typeof body === 'string' ? 'text/html' : 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await expect(polling(url, operation)(null, signal, null)).rejects.toSatisfy(
    (error: FeedError) => error.problem.kind === kind,
  );
});
