import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ARGUMENTS, Browser } from './browser';
import { attack, ForeignSite, type Found, ReboundSite } from './foreign';
import { PipewatchServer } from './server';

/** Ways that work where the page may. */
const WAYS = ['fetch', 'fetch of metrics', 'fetch of a mutation', 'EventSource', 'WebSocket', 'WebSocket of GraphQL'];

let foreign: ForeignSite;
let browser: Browser;
let server: PipewatchServer;

beforeAll(async () => {
  foreign = await ForeignSite.start();
  browser = await Browser.start({
    args: [...ARGUMENTS, `--host-resolver-rules=MAP ${ReboundSite.HOST} ${ReboundSite.ADDRESS}`],
  });
});
afterAll(async () => {
  await browser?.stop();
  await foreign?.stop();
});
beforeEach(async () => {
  server = await PipewatchServer.start();
  await server.report('victim', { articles_collected: 3 });
});
afterEach(() => server?.stop());

/** What an attack would change. */
async function state(): Promise<unknown> {
  const { pipelines } = await server.graphql('{ pipelines { key revision totalSources overallStatus } }');
  return pipelines;
}

/** Requests that the server refused: those of the attack came to it, and were not stopped by the browser alone. */
async function refused(): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('pipewatch_refused_requests_total{'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

async function attackFrom(page: Page, target: string): Promise<Found> {
  const before = await state();
  const found = await page.evaluate(attack, target);
  expect(await state()).toEqual(before);
  await page.close();
  return found;
}

function readings(found: Found): Found {
  return Object.fromEntries(Object.entries(found).filter(([, { read }]) => read !== undefined));
}

it('a page of another site reads and changes nothing, whatever it tries', async () => {
  const found = await attackFrom(await browser.open(foreign.origin), server.url);
  expect(readings(found)).toEqual({});
  expect(Object.keys(found).length).toBeGreaterThan(20);
  expect(await refused()).toBeGreaterThan(20);
});

it('a page whose name was pointed at the server reads and changes nothing', async () => {
  const rebound = await ReboundSite.start(server.url);
  const found = await attackFrom(await browser.open(`${rebound.origin}/attack`), rebound.origin);
  // It may read the answers, of its own origin: they say that the server is not this host's.
  for (const [way, { read }] of Object.entries(readings(found))) expect(read, way).toMatch(/not a host of this server/);
  expect(Object.keys(found).length).toBeGreaterThan(20);
  expect(await refused()).toBeGreaterThan(20);
  await rebound.stop();
});

it('the same ways lead in from the server itself: they are real', async () => {
  const page = await browser.open(`${server.url}/api/health`);
  const found = await page.evaluate(attack, server.url);
  for (const way of WAYS) {
    expect(found[way]?.read, way).toBeDefined();
  }
  expect(JSON.stringify(await state())).not.toContain('victim');
  await page.close();
});

it('a badge is shown by a page of another site, and a link leads to the dashboard', async () => {
  const page = await browser.open(foreign.origin);
  const width = await page.evaluate(async (src) => {
    const image = new Image();
    image.src = src;
    await image.decode();
    document.body.innerHTML = `<a href="${new URL('/', src)}">the dashboard</a>`;
    return image.naturalWidth;
  }, `${server.url}/badge/victim.svg`);
  expect(width).toBeGreaterThan(20);
  await page.getByText('the dashboard').click();
  await page.getByText('victim').first().waitFor();
  expect(new URL(page.url()).origin).toBe(server.url);
  await page.close();
});

it('a page of an allowed origin reads and changes what it likes', async () => {
  await server.stop();
  server = await PipewatchServer.start({ PIPEWATCH_CORS_ORIGINS: foreign.origin });
  await server.report('victim', { articles_collected: 3 });
  const page = await browser.open(foreign.origin);
  const found = await page.evaluate(attack, server.url);
  for (const way of WAYS) {
    expect(found[way]?.read, way).toBeDefined();
  }
  expect(JSON.stringify(await state())).not.toContain('victim');
  await page.close();
});
