import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { eventually, within } from './within.js';

/** The path of the program. */
export const BINARY = process.env.PIPEWATCH_BIN
  ? resolve(process.env.PIPEWATCH_BIN)
  : fileURLToPath(new URL('../../../target/debug/pipewatch', import.meta.url));

const RUNS = '/api/v1/source-runs';

/** Variables without the settings of Pipewatch: those of the caller must not reach the server. */
export function withoutSettings(variables) {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => !/^(PIPEWATCH_.*|DATABASE_URL|PORT)$/.test(name)));
}

let servers = 0;

/** A loopback address that no other test listens on, so that a port of it stays free while its server restarts. */
function ownAddress() {
  servers += 1;
  return `127.${100 + ((process.pid >> 8) % 100)}.${process.pid & 255}.${servers}`;
}

/** The program in a separate process, with a folder and a database. */
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
   * Starts a server. By default the interval is longer than any test, so every status after the first is due to a change.
   */
  static async start({ interval = '10m', shutdownTimeout = '2s', ...settings } = {}) {
    const server = new Server();
    server.#folder = await mkdtemp(join(tmpdir(), 'pipewatch-'));
    server.#settings = { INTERVAL: interval, SHUTDOWN_TIMEOUT: shutdownTimeout, ...settings };
    await server.#spawn(`${ownAddress()}:0`);
    return server;
  }

  /** A server for the test `t`, stopped at its end. */
  static async startFor(t, settings) {
    const server = await Server.start(settings);
    t.after(() => server.stop());
    return server;
  }

  socketUrl(path) {
    return this.url.replace('http:', 'ws:') + path;
  }

  /** Reports a run that must be stored; returns the pipeline's revision. */
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

  /** Creates a pipeline and returns its key. Tests share a server; each has a pipeline. */
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

  /** The pipeline's revision. */
  async revision(pipeline) {
    const { pipelineStatus } = await this.graphql('query ($key: String!) { pipelineStatus(pipeline: $key) { revision } }', {
      key: pipeline,
    });
    return pipelineStatus.revision;
  }

  /** Waits until the pipeline's revision has changed. */
  async changed(pipeline, revision) {
    await eventually('a change', () => this.revision(pipeline), (now) => now !== revision);
  }

  /** Stops with SIGTERM, and starts again at the same address with the same database. */
  async restart() {
    await this.#terminate();
    await this.#spawn(new URL(this.url).host);
  }

  /** Sends SIGTERM and does not wait, for tests of the shutdown. */
  beginStop() {
    // Only once: a second signal makes the server exit immediately.
    if (!this.#isStopping) this.#child.kill('SIGTERM');
    this.#isStopping = true;
  }

  /** Stops with SIGTERM; it must exit successfully. A second call does nothing. */
  async stop() {
    if (!this.#child) return;
    try {
      await this.#terminate();
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  async #spawn(listen) {
    const own = Object.entries(this.#settings).map(([name, value]) => [`PIPEWATCH_${name}`, value]);
    const child = spawn(BINARY, ['serve', '--listen', listen, '--database-url', 'sqlite://pipewatch.db'], {
      cwd: this.#folder,
      env: { ...withoutSettings(process.env), ...Object.fromEntries(own) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#isStopping = false;
    this.#exit = once(child, 'exit');
    child.stderr.setEncoding('utf8').on('data', (text) => (this.#log += text));
    // A test process that ends early must not leave servers behind.
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));

    const lines = createInterface({ input: child.stdout });
    const [line] = await within(Promise.race([once(lines, 'line'), this.#exit]), `the start of ${BINARY}`);
    const address = /^pipewatch listening on (http:\/\/\S+)$/.exec(line);
    assert.ok(address, `${BINARY} printed ${JSON.stringify(line)}\n${this.#log}`);
    this.url = address[1];
  }

  async #terminate() {
    this.beginStop();
    this.#child = null;
    const [code, signal] = await within(this.#exit, 'the end of the server');
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.#log);
    assert.doesNotMatch(this.#log, /panicked/);
  }
}

/** Whether a status is not older than a revision; revisions are decimal digits, compared as numbers. */
export function isAtLeast(status, revision) {
  return BigInt(status.revision) >= BigInt(revision);
}
