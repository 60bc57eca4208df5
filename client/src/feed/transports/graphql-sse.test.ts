import { expect, it, vi } from 'vitest';
import { recordingSink, until } from '../../../test/recording-sink';
import { Publisher, serveSse } from '../../../test/reference-servers';
import { status } from '../../../test/status-fixture';
import { statusOperation } from '../operation';
import { distinctConnections, singleConnection } from './graphql-sse';

const operation = statusOperation('news', false);
const request = { query: operation.subscription, variables: operation.variables(null) };

/** A publisher with a first status. */
function publishing() {
  const publisher = new Publisher();
  publisher.publish(status({ revision: '1' }));
  return publisher;
}

it.each([
  ['distinct', distinctConnections],
  ['single', singleConnection],
])('%s connections deliver, end one by one and send the token', async (_, connect) => {
  const publisher = publishing();
  const { url, requests } = await serveSse(publisher);
  const { data, problems, sink } = recordingSink<Record<string, unknown>>();
  const onActivity = vi.fn();
  const client = connect(url, 'secret', onActivity);
  const link = client.subscribe(request, sink);
  const second = recordingSink<Record<string, unknown>>();
  const other = client.subscribe(request, second.sink);
  await until(() => expect([data.length, second.data.length]).toEqual([1, 1]));
  expect(operation.extract(data[0] ?? {})).toEqual(status({ revision: '1' }));
  expect(new Set(requests.map((it) => it.split(' ').slice(1).join(' ')))).toEqual(new Set(['Bearer secret']));
  expect(onActivity).toHaveBeenCalled();
  link.close(false);
  await until(() => expect(publisher.active).toBe(1));
  publisher.publish(status({ revision: '2' }));
  await until(() => expect(second.data).toHaveLength(2));
  expect(data).toHaveLength(1);
  other.close(false);
  await until(() => expect(publisher.active).toBe(0));
  expect([problems, second.problems]).toEqual([[], []]);
  client.dispose();
});

it.each([
  ['distinct', distinctConnections],
  ['single', singleConnection],
])('%s connections report each kind of failure', async (_, connect) => {
  const publisher = publishing();
  const good = await serveSse(publisher);
  const invalid = recordingSink<Record<string, unknown>>();
  connect(good.url, null, () => {}).subscribe({ query: 'subscription { nothing }', variables: {} }, invalid.sink);
  await until(() => expect(invalid.problems.map((it) => it.kind)).toEqual(['fatal']));

  const ended = recordingSink<Record<string, unknown>>();
  connect(good.url, null, () => {}).subscribe(request, ended.sink);
  await until(() => expect(ended.data).toHaveLength(1));
  publisher.end();
  await until(() => expect(ended.problems.map((it) => it.kind)).toEqual(['network']));

  const locked = await serveSse(publishing(), () => false);
  const rejected = recordingSink<Record<string, unknown>>();
  connect(locked.url, 'bad', () => {}).subscribe(request, rejected.sink);
  await until(() => expect(rejected.problems.map((it) => it.kind)).toEqual(['unauthorized']));

  const gone = recordingSink<Record<string, unknown>>();
  connect('http://127.0.0.1:1/graphql', null, () => {}).subscribe(request, gone.sink);
  await until(() => expect(gone.problems.map((it) => it.kind)).toEqual(['network']));
});
