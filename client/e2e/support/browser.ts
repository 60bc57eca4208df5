import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

type Options = NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>;

export const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A browser with its own profile, which all of its tabs share. */
export class Browser {
  /** Errors and warnings from the consoles of all pages. */
  readonly complaints: string[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly folder: string,
  ) {
    context.on('page', (page) => this.#watch(page));
  }

  static async start(options: Options = {}): Promise<Browser> {
    const folder = await mkdtemp(join(tmpdir(), 'chromium-'));
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    const context = await chromium.launchPersistentContext(folder, {
      executablePath,
      headless: true,
      args: ARGUMENTS,
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    return new Browser(context, folder);
  }

  async open(url: string): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  async stop() {
    await this.context.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  #watch(page: Page) {
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      this.complaints.push(`${message.text().slice(0, 300)} ${message.location().url}`);
    });
  }
}

/** The browser logs every broken connection, which is expected in tests that break connections. */
export function isNetworkComplaint(complaint: string): boolean {
  return /WebSocket connection to|Failed to load resource|net::ERR_/.test(complaint);
}
