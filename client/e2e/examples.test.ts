import { spawn } from 'node:child_process';
import { copyFile, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { build, type Plugin, preview } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Browser } from './support/browser';
import { PipewatchServer } from './support/server';

const EXAMPLES = new URL('../../examples/', import.meta.url);
const file = (path: string) => fileURLToPath(new URL(path, EXAMPLES));
const client = fileURLToPath(new URL('..', import.meta.url));

let server: PipewatchServer;
let browser: Browser;
let folder: string;

beforeAll(async () => {
  server = await PipewatchServer.start({ PIPEWATCH_INTERVAL: '10m', PIPEWATCH_CORS_ORIGINS: '*' });
  browser = await Browser.start();
  folder = await mkdtemp(join(tmpdir(), 'pipewatch-examples-'));
});
afterAll(async () => {
  await browser?.stop();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

it('browser/watch.html follows a pipeline with EventSource when served by another origin', async () => {
  await server.report('shop', { articles_collected: 3 });
  const site = await preview({
    root: file('browser'),
    configFile: false,
    logLevel: 'error',
    build: { outDir: file('browser') },
    preview: { port: 0, host: '127.0.0.1' },
  });
  const url = new URL('watch.html', site.resolvedUrls?.local[0]);
  url.search = String(new URLSearchParams({ server: server.url, pipeline: 'shop' }));
  const page = await browser.open(url.href);
  await page.getByText('live', { exact: true }).waitFor();
  await page.getByText('3 articles in the window').waitFor();
  expect(await page.getByRole('heading').innerText()).toBe('shop');
  await server.report('shop', { articles_collected: 4 });
  await page.getByText('7 articles in the window').waitFor();
  expect(await page.getByRole('status').innerText()).toBe('healthy');
  expect(browser.complaints).toEqual([]);
  await site.close();
});

it('react shows the status live', async () => {
  await server.report('demo', { geocoding_attempts: 40, geocoding_successes: 40 });
  const useTestServer: Plugin = {
    name: 'use-test-server',
    transform: (code, id) => (id.endsWith('app.jsx') ? code.replace('http://127.0.0.1:8000', server.url) : undefined),
    enforce: 'pre',
  };
  // The package as published, with the React of this folder.
  const alias = [
    { find: 'pipewatch-client/react', replacement: join(client, 'dist/lib/react.js') },
    { find: /^(react(?:-dom)?)(?=\/|$)/, replacement: join(client, 'node_modules/$1') },
  ];
  const options = {
    root: file('react'),
    configFile: false,
    logLevel: 'error',
    build: { outDir: join(folder, 'react') },
  } as const;
  await build({ ...options, plugins: [useTestServer, react()], resolve: { alias } });
  const site = await preview({ ...options, preview: { port: 0, host: '127.0.0.1' } });
  try {
    const page = await browser.open(site.resolvedUrls?.local[0] ?? '');
    await page.getByText('HEALTHY (Real-time updates)').waitFor();
    await server.report('demo', { source: 'b', geocoding_attempts: 400, geocoding_successes: 4 });
    await page.getByText('ERROR (Real-time updates)').waitFor();
    expect(browser.complaints).toEqual([]);
  } finally {
    await site.close();
  }
});

it('apollo/watch.js prints every status', async () => {
  await server.report('apollo', { geocoding_attempts: 40, geocoding_successes: 40 });
  await copyFile(file('apollo/watch.js'), join(folder, 'watch.mjs'));
  await symlink(join(client, 'node_modules'), join(folder, 'node_modules'));
  const child = spawn(process.execPath, [join(folder, 'watch.mjs'), 'apollo'], {
    env: { ...process.env, PIPEWATCH_URL: server.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    expect((await lines.next()).value).toMatch(/^\d+ HEALTHY$/);
    await server.report('apollo', { source: 'b', geocoding_attempts: 400, geocoding_successes: 4 });
    expect((await lines.next()).value).toMatch(/^\d+ ERROR$/);
  } finally {
    child.kill();
  }
});

it('a badge renders in a browser', async () => {
  await server.report('badge', { articles_collected: 1 });
  const page = await browser.open(`${server.url}/badge/badge.svg`);
  expect(await page.locator('title').textContent()).toBe('badge: healthy');
  const widths = await page.evaluate(() => [...document.querySelectorAll('text')].map((it) => it.getBBox().width));
  expect(widths.every((width) => width > 10)).toBe(true);
  expect(browser.complaints).toEqual([]);
});
