import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.PIPEWATCH_BIN ?? fileURLToPath(new URL('../../target/debug/pipewatch', import.meta.url));

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
  error?: string;
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

/** The real program, in a process, a folder and a database of its own. */
export class PipewatchServer {
  #child: ChildProcess | undefined;

  private constructor(
    readonly url: string,
    readonly folder: string,
    readonly settings: Record<string, string>,
  ) {}

  static async start(settings: Record<string, string> = {}): Promise<PipewatchServer> {
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'pipewatch-'));
    const server = new PipewatchServer(`http://127.0.0.1:${port}`, folder, settings);
    await server.resume();
    return server;
  }

  /** Starts it again after `kill`, at the same address with the same database. */
  async resume() {
    const { host } = new URL(this.url);
    const child = spawn(BINARY, ['serve', '--listen', host], {
      cwd: this.folder,
      env: {
        ...process.env,
        DATABASE_URL: `sqlite://${join(this.folder, 'e2e.db')}`,
        PIPEWATCH_DRAIN: '1s',
        ...this.settings,
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child = child;
    const failed = once(child, 'exit').then(() => {
      throw new Error(`${BINARY} ended before it served`);
    });
    await Promise.race([once(createInterface(child.stdout), 'line'), failed]);
    failed.catch(() => {});
  }

  /** As a crash does. */
  async kill(signal: NodeJS.Signals = 'SIGKILL') {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const end = once(child, 'exit');
    child.kill(signal);
    await end;
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

/** A server that is started again must have the address that it had. */
async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
