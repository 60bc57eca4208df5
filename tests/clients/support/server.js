import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { within } from './within.js';

const BINARY = process.env.PIPEWATCH_BIN
  ? resolve(process.env.PIPEWATCH_BIN)
  : fileURLToPath(new URL('../../../target/debug/pipewatch', import.meta.url));

const RUNS = '/api/v1/source-runs';

/** The program in a process, a folder and a database of its own. */
export class Server {
  url;
  #child;
  #exit;
  #log = '';
  #folder;
  #settings;
  #isStopping = false;
  #pipelines = 0;

  /**
   * Starts one. The interval is so long by default that whatever comes after the first status comes because of a change.
   */
  static async start({ interval = '10m', drain = '2s', ...settings } = {}) {
    const server = new Server();
    server.#folder = await mkdtemp(join(tmpdir(), 'pipewatch-'));
    server.#settings = { INTERVAL: interval, DRAIN: drain, ...settings };
    await server.#spawn('127.0.0.1:0');
    return server;
  }

  /** One of the test `t` alone, which ends with it. */
  static async startFor(t, settings) {
    const server = await Server.start(settings);
    t.after(() => server.stop());
    return server;
  }

  /** For WebSockets. */
  socketUrl(path) {
    return this.url.replace('http:', 'ws:') + path;
  }

  /** Reports a run that is stored; the pipeline's revision with it. */
  async report(pipeline, run = {}) {
    const answer = await this.post(`${RUNS}?pipeline=${pipeline}`, {
      source: 'punch',
      timestamp: new Date().toISOString(),
      articles_collected: 3,
      ...run,
    });
    const body = await answer.json();
    assert.equal(answer.status, 201, JSON.stringify(body));
    return body.revisions[pipeline];
  }

  /** The key of a new pipeline: each test has one, so that tests can share a server and know nothing of each other. */
  async pipeline() {
    const key = `p${(this.#pipelines += 1)}`;
    await this.report(key);
    return key;
  }

  /** The data of a GraphQL operation that must succeed. */
  async graphql(query, variables = {}) {
    const answer = await this.post('/graphql', { query, variables });
    const { data, errors } = await answer.json();
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  }

  async removePipeline(pipeline) {
    await this.graphql('mutation ($pipeline: String!) { removePipeline(pipeline: $pipeline) }', { pipeline });
  }

  post(path, body) {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    return within(fetch(this.url + path, init), `an answer to POST ${path}`);
  }

  /** SIGTERM, after which it must end well; starts again at the same address with the same database. */
  async restart() {
    await this.#terminate();
    await this.#spawn(new URL(this.url).host);
  }

  /** SIGTERM, without waiting for the end, for tests that watch how it takes its leave. */
  beginStop() {
    // Once only: a second signal means that somebody has lost patience, and the server ends otherwise then.
    if (!this.#isStopping) this.#child.kill('SIGTERM');
    this.#isStopping = true;
  }

  /** SIGTERM, after which it must end well; nothing the second time. */
  async stop() {
    if (!this.#child) return;
    try {
      await this.#terminate();
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  async #spawn(listen) {
    // The settings of whoever runs the tests must not reach the server.
    const inherited = Object.entries(process.env).filter(([name]) => !/^(PIPEWATCH_.*|DATABASE_URL|PORT)$/.test(name));
    const own = Object.entries(this.#settings).map(([name, value]) => [`PIPEWATCH_${name}`, value]);
    const child = spawn(BINARY, ['serve', '--listen', listen, '--database-url', 'sqlite://pipewatch.db'], {
      cwd: this.#folder,
      env: Object.fromEntries([...inherited, ...own]),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#isStopping = false;
    this.#exit = once(child, 'exit');
    child.stderr.setEncoding('utf8').on('data', (text) => (this.#log += text));
    // A test process that dies early must not leave servers behind.
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));

    const lines = createInterface({ input: child.stdout });
    const [line] = await within(Promise.race([once(lines, 'line'), this.#exit]), `${BINARY} serves`, 20_000);
    const address = /^pipewatch serves at (http:\/\/\S+)$/.exec(line);
    assert.ok(address, `${BINARY} said ${JSON.stringify(line)}\n${this.#log}`);
    this.url = address[1];
  }

  async #terminate() {
    this.beginStop();
    this.#child = null;
    const [code, signal] = await within(this.#exit, 'the end of the server', 20_000);
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.#log);
    assert.doesNotMatch(this.#log, /panicked/);
  }
}

/** Whether a status is not older than a revision; revisions are decimal digits, compared as numbers. */
export function isAtLeast(status, revision) {
  return BigInt(status.revision) >= BigInt(revision);
}
