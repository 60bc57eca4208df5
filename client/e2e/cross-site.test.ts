import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type AttackResults, attack } from './support/attack';
import { ForeignSite, RebindingSite } from './support/attacker-sites';
import { ARGUMENTS, Browser } from './support/browser';
import { PipewatchServer } from './support/server';

/** Attempts that succeed from an allowed origin. */
const ALLOWED = [
  'fetch',
  'fetch of metrics',
  'fetch of a mutation',
  'EventSource',
  'WebSocket',
  'WebSocket of GraphQL',
];

let foreign: ForeignSite;
let browser: Browser;
let server: PipewatchServer;

beforeAll(async () => {
  foreign = await ForeignSite.start();
  browser = await Browser.start({
    args: [...ARGUMENTS, `--host-resolver-rules=MAP ${RebindingSite.HOST} ${RebindingSite.ADDRESS}`],
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

/** The data that an attack would change. */
async function state(): Promise<unknown> {
  const { pipelines } = await server.graphql('{ pipelines { key revision totalSources overallStatus } }');
  return pipelines;
}

/** Requests that the server refused, which shows that the browser alone did not stop the attack. */
async function refusedRequests(): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => /^pipewatch_refused_requests_total\{/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

async function attackFrom(page: Page, target: string): Promise<AttackResults> {
  const before = await state();
  const results = await page.evaluate(attack, target);
  expect(await state()).toEqual(before);
  await page.close();
  return results;
}

function readable(results: AttackResults): AttackResults {
  return Object.fromEntries(Object.entries(results).filter(([, { read }]) => read !== undefined));
}

it('a page of another site reads and changes nothing', async () => {
  const results = await attackFrom(await browser.open(foreign.origin), server.url);
  expect(readable(results)).toEqual({});
  expect(Object.keys(results).length).toBeGreaterThan(20);
  expect(await refusedRequests()).toBeGreaterThan(20);
});

it('a page that uses DNS rebinding reads and changes nothing', async () => {
  const rebinding = await RebindingSite.start(server.url);
  const results = await attackFrom(await browser.open(`${rebinding.origin}/attack`), rebinding.origin);
  // The responses are same-origin and readable, but reject the host.
  for (const [attempt, { read }] of Object.entries(readable(results))) expect(read, attempt).toMatch(/host/i);
  expect(Object.keys(results).length).toBeGreaterThan(20);
  expect(await refusedRequests()).toBeGreaterThan(20);
  await rebinding.stop();
});

it('the same attempts succeed from the same origin', async () => {
  const page = await browser.open(`${server.url}/api/health`);
  const results = await page.evaluate(attack, server.url);
  for (const attempt of ALLOWED) {
    expect(results[attempt]?.read, attempt).toBeDefined();
  }
  expect(JSON.stringify(await state())).not.toContain('victim');
  await page.close();
});

it('a page of another site can embed a badge and link to the dashboard', async () => {
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

it('a page of an allowed origin reads and changes data', async () => {
  await server.stop();
  server = await PipewatchServer.start({ PIPEWATCH_CORS_ORIGINS: foreign.origin });
  await server.report('victim', { articles_collected: 3 });
  const page = await browser.open(foreign.origin);
  const results = await page.evaluate(attack, server.url);
  for (const attempt of ALLOWED) {
    expect(results[attempt]?.read, attempt).toBeDefined();
  }
  expect(JSON.stringify(await state())).not.toContain('victim');
  await page.close();
});
