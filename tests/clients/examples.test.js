// The shell and Node.js examples, unchanged, against a server with a token.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFile, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Mailbox } from './support/mailbox.js';
import { BINARY, Server, withoutSettings } from './support/server.js';
import { eventually, within } from './support/within.js';

const TOKEN = 'a-token+of/this.test=';
const path = (name) => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));

let server;
before(async () => (server = await Server.start({ TOKENS: TOKEN })));
after(() => server.stop());

/** Starts an example and returns the lines it prints; it is stopped at the end of the test `t`. */
function run(t, program, ...args) {
  const env = { ...process.env, PIPEWATCH_URL: server.url, PIPEWATCH_TOKEN: TOKEN };
  // A process group, so that programs started by the shell are stopped too.
  const child = spawn(program, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
  });
  const lines = new Mailbox();
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  createInterface({ input: child.stdout }).on('line', (line) => lines.put(line));
  child.on('close', (code) => lines.end(`${code} ${log}`));
  return lines;
}

async function report(pipeline) {
  const answer = await fetch(`${server.url}/api/v1/source-runs?pipeline=${pipeline}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ source: 'punch', timestamp: new Date().toISOString(), articles_collected: 3 }),
  });
  assert.equal(answer.status, 201);
  return (await answer.json()).revisions[pipeline];
}

/** Runs an example to its end; returns its exit code and output. */
async function runToEnd(t, program, ...args) {
  const spool = await mkdtemp(join(tmpdir(), 'pipewatch-example-'));
  t.after(() => rm(spool, { recursive: true, force: true }));
  await symlink(BINARY, join(spool, 'pipewatch'));
  const env = {
    ...withoutSettings(process.env),
    PATH: `${spool}:${process.env.PATH}`,
    PIPEWATCH_URL: server.url,
    PIPEWATCH_TOKEN: TOKEN,
    PIPEWATCH_SPOOL: join(spool, 'spool'),
  };
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const code = await within(new Promise((resolve) => child.on('close', resolve)), `the end of ${program}`, 30_000);
  return { code, output };
}

/** The finished runs of a pipeline, the newest first. */
async function runs(pipeline) {
  const query = `query ($pipeline: String!) {
    sourceRuns(pipeline: $pipeline) { nodes { source state counts { name value } startedAt durationSeconds error log } }
  }`;
  const answer = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ query, variables: { pipeline } }),
  });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data.sourceRuns.nodes;
}

const ROWS = { name: 'rows', value: 120 };
const BYTES = { name: 'bytes', value: 48_210 };

test('curl example reports a run with counts', async (t) => {
  const { code, output } = await runToEnd(t, path('curl/report.sh'), 'curl');
  assert.equal(code, 0, output);
  const [run] = await runs('curl');
  assert.deepEqual([run.source, run.state, run.durationSeconds], ['curl', 'OK', 12.5]);
  assert.deepEqual(run.counts, [BYTES, ROWS]);
});

test('ping example reports start, exit code and output', async (t) => {
  const { code, output } = await runToEnd(t, path('curl/ping.sh'), 'cron', 'load', 'sh', '-c', 'echo "no space left"; exit 28');
  assert.equal(code, 28, output);
  const [run, ...others] = await runs('cron');
  assert.deepEqual([run.source, run.state, run.error, run.log], ['load', 'FAILED', 'exit code 28', 'no space left']);
  assert.notEqual(run.startedAt, null);
  assert.deepEqual(others, []);
});

test('command line example reports a record and a command', async (t) => {
  const { code, output } = await runToEnd(t, path('command-line/nightly.sh'), 'nightly');
  assert.equal(code, 0, output);
  assert.match(output, /^loading$/m);
  const found = await eventually('both runs', () => runs('nightly'), (list) => list.length === 2);
  const counts = Object.fromEntries(found.map((run) => [run.source, run.counts]));
  assert.deepEqual(counts, { extract: [ROWS], load: [BYTES, { name: 'rows', value: 119 }] });
});

test('shell example reports twice, polls and subscribes', async (t) => {
  const lines = run(t, path('shell/report-and-watch.sh'), 'shell');
  const next = async (what) => JSON.parse((await lines.take(what)).replace(/^live: /, ''));
  assert.equal((await next('the answer')).results[0].status, 'stored');
  const { revisions, results } = await next('the second answer');
  assert.equal(results[0].status, 'duplicate');
  assert.equal((await next('the status')).revision, revisions.shell);
  assert.equal((await next('the first event')).scraping_health.articles_collected, 12);
  const revision = await report('shell');
  const event = await next('the next event');
  assert.equal(event.revision, revision);
  assert.equal(event.scraping_health.articles_collected, 15);
});

test('ping example reports the start, the exit code and the output of a command', async (t) => {
  const lines = run(t, path('shell/ping.sh'), 'pinged', 'job', 'sh', '-c', 'echo done; exit 3');
  assert.equal(await lines.take('the answer to the start'), 'OK');
  assert.equal(await lines.take('the answer to the end'), 'OK');
  const query = '{ sourceRuns(pipeline: "pinged") { nodes { source state startedAt error log } } }';
  const answer = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ query }),
  });
  const [{ startedAt, ...reported }, ...others] = (await answer.json()).data.sourceRuns.nodes;
  assert.deepEqual(reported, { source: 'job', state: 'FAILED', error: 'exit code 3', log: 'done\n' });
  assert.ok(startedAt);
  assert.deepEqual(others, []);
});

test('Node.js example subscribes with graphql-ws', async (t) => {
  // A copy next to the packages of these tests, which Node.js resolves from the location of the file.
  const folder = await mkdtemp(join(tmpdir(), 'pipewatch-example-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const file of ['watch.js', 'package.json']) await copyFile(path(`node/${file}`), join(folder, file));
  await symlink(fileURLToPath(new URL('node_modules', import.meta.url)), join(folder, 'node_modules'));
  const first = await report('node');
  const lines = run(t, process.execPath, join(folder, 'watch.js'), 'node');
  assert.equal(await lines.take('the first status'), `${first} HEALTHY: 1 of 1 sources, 3 articles`);
  const second = await report('node');
  assert.equal(await lines.take('the next status'), `${second} HEALTHY: 1 of 1 sources, 6 articles`);
});
