import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.PIPEWATCH_BIN ?? fileURLToPath(new URL('../../../target/debug/pipewatch', import.meta.url));

export interface Run {
  source?: string;
  timestamp?: string;
  outcome?: 'ok' | 'failed' | 'aborted';
  articles_collected?: number;
  events_extracted?: number;
  geocoding_attempts?: number;
  geocoding_successes?: number;
  validation_attempts?: number;
  validation_passes?: number;
  id?: string;
  counts?: Record<string, number>;
  duration?: number;
  attempt?: number;
  parent?: string;
  url?: string;
  tags?: string[];
  error?: string;
  log?: string;
  checks?: { name: string; attempts: number; passes: number }[];
  steps?: {
    name: string;
    state: string;
    items_in?: number;
    items_out?: number;
    started_at?: string;
    ended_at?: string;
  }[];
}

/** The real program in its own process, with its own folder and database. */
export class PipewatchServer {
  #child: ChildProcess | undefined;
  /** Changes with each start, since a port cannot be reserved for a stopped program. {@link FaultProxy} has a stable URL. */
  url = '';

  private constructor(
    readonly folder: string,
    readonly settings: Record<string, string>,
  ) {}

  static async start(settings: Record<string, string> = {}): Promise<PipewatchServer> {
    const folder = await mkdtemp(join(tmpdir(), 'pipewatch-'));
    const server = new PipewatchServer(folder, settings);
    await server.resume();
    return server;
  }

  /** Starts the program again after `kill`, with the same database. */
  async resume() {
    const child = spawn(BINARY, ['serve', '--listen', '127.0.0.1:0'], {
      cwd: this.folder,
      env: {
        ...process.env,
        PIPEWATCH_BIN: undefined,
        DATABASE_URL: `sqlite://${join(this.folder, 'e2e.db')}`,
        PIPEWATCH_SHUTDOWN_TIMEOUT: '1s',
        PIPEWATCH_LOG: 'warn',
        ...this.settings,
      },
      // Its log appears in the output of the test.
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const failed = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${BINARY} exited before it was listening: ${code ?? signal}`);
    });
    const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), failed]);
    failed.catch(() => {});
    const [url] = /http:\/\/\S+/.exec(line) ?? [];
    if (!url) throw new Error(`${BINARY} did not print its URL: ${line}`);
    this.url = url;
  }

  /** Whether the URL is valid: after the program has exited, another program may use its port. */
  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** Ends the program, by default as in a crash. */
  async kill(signal: NodeJS.Signals = 'SIGKILL') {
    const child = this.#child;
    if (!child || !this.isRunning) return;
    const end = once(child, 'exit');
    child.kill(signal);
    await end;
  }

  // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape of its query
  async graphql(query: string): Promise<any> {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${this.url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
    const { data, errors } = await response.json();
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  }

  /** Reports the runs of `next` at an interval until the returned function is called. */
  reportEvery(milliseconds: number, pipeline: string, next: () => Run[]): () => Promise<void> {
    let latest = Promise.resolve();
    const timer = setInterval(() => {
      latest = latest.then(() => this.report(pipeline, ...next()));
      // The returned function reports the error.
      latest.catch(() => {});
    }, milliseconds);
    return () => {
      clearInterval(timer);
      return latest;
    };
  }

  signal(signal: NodeJS.Signals) {
    this.#child?.kill(signal);
  }

  async stop() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  async report(pipeline: string, ...runs: Run[]) {
    const timestamp = new Date().toISOString();
    const token = this.settings.PIPEWATCH_TOKENS;
    const response = await fetch(`${this.url}/api/v1/source-runs?pipeline=${pipeline}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(runs.map((run) => ({ source: 'punch', timestamp, ...run }))),
    });
    if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
  }
}
