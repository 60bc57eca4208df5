import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Browser, isNetworkComplaint } from './support/browser';
import { weeksOfRuns } from './support/history-fixture';
import { FaultProxy } from './support/proxy';
import { PipewatchServer } from './support/server';

const FOLDER = fileURLToPath(new URL('../screenshots/', import.meta.url));
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } } as const;

let server: PipewatchServer;
let proxy: FaultProxy;
let browser: Browser;

beforeAll(async () => {
  await mkdir(FOLDER, { recursive: true });
  server = await PipewatchServer.start({
    PIPEWATCH_DEMO: 'true',
    PIPEWATCH_INTERVAL: '1s',
    PIPEWATCH_EVALUATION_INTERVAL: '500ms',
  });
  proxy = await FaultProxy.start(server);
  browser = await Browser.start();
});
afterAll(async () => {
  await browser?.stop();
  await proxy?.stop();
  await server?.stop();
});

/** Each page with its path, a selector to wait for, and further actions. */
const PAGES: [name: string, path: string, selector: string, then?: (page: Page) => Promise<unknown>][] = [
  ['empty', '/#/pipelines/none', '.empty-state pre'],
  ['overview', '/', '.pipeline-card >> nth=1'],
  ['demo', '/#/pipelines/demo', '.chart canvas >> nth=1'],
  ['pipeline', '/#/pipelines/news', '.chart canvas >> nth=1'],
  ['source', '/#/pipelines/shop/sources/orders', '.chart canvas >> nth=1'],
  [
    'history',
    '/#/pipelines/trade/sources/customs',
    '.chart canvas >> nth=1',
    async (page) => {
      await page.getByRole('button', { name: '7 d' }).click();
      await page.locator('.anomalies').first().waitFor();
      const chart = page.locator('.u-over').nth(1);
      const box = await chart.boundingBox();
      // The run of six hours ago, in a week of hourly points.
      if (box) await chart.hover({ position: { x: (box.width * 161) / 167, y: box.height / 2 } });
    },
  ],
  ['error', '/#/pipelines/shop', '.chart canvas >> nth=1'],
  ['alerts', '/#/alerts', '.alert-card'],
  [
    'silence',
    '/#/alerts',
    '.alert-card',
    async (page) => {
      await page.getByRole('button', { name: 'Silence' }).first().click();
      await page.locator('.form').waitFor();
    },
  ],
  ['not-found', '/#/nowhere', 'main h1'],
  ['kiosk', '/?kiosk#/', '.pipeline-card >> nth=1'],
  ['kiosk-pipeline', '/?kiosk#/pipelines/news', '.chart canvas >> nth=1'],
  ['checks', '/#/pipelines/trade/sources/customs', '.chart canvas >> nth=2'],
  [
    'graphiql',
    '/graphiql',
    '.graphiql-query-editor .view-lines',
    async (page) => {
      await page.locator('.graphiql-query-editor').getByText('pipelineStatusUpdates').waitFor();
      await page.getByRole('button', { name: /Execute query/ }).click();
      await page.locator('.graphiql-response').getByText('overallStatus').first().waitFor();
    },
  ],
];

it('every page in every size and colour scheme', async () => {
  await reportSampleData();
  for (const scheme of ['light', 'dark'] as const) {
    for (const [form, viewport] of Object.entries(SIZES)) {
      for (const [name, path, selector, then] of PAGES) {
        const page = await browser.context.newPage();
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize(viewport);
        await page.goto(proxy.url + path);
        await page.locator(selector).first().waitFor();
        await then?.(page);
        await page.screenshot({
          path: `${FOLDER}${name}-${form}-${scheme}.png`,
          fullPage: !['kiosk', 'kiosk-pipeline', 'graphiql', 'history'].includes(name),
        });
        await page.close();
      }
    }
  }
  await takeSignInScreenshots();
  await takeReadmeScreenshots();
  const pages: { page: Page; name: string }[] = [];
  for (const scheme of ['light', 'dark'] as const) {
    for (const [form, viewport] of Object.entries(SIZES)) {
      const page = await browser.context.newPage();
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize(viewport);
      await page.goto(`${proxy.url}/#/pipelines/news`);
      await page.locator('.chart canvas').nth(1).waitFor();
      pages.push({ page, name: `offline-${form}-${scheme}` });
    }
  }
  await server.kill();
  for (const { page, name } of pages) {
    await page.bringToFront();
    await page.getByText('Connection lost').waitFor({ timeout: 90_000 });
    await page.screenshot({ path: `${FOLDER}${name}.png`, fullPage: true });
  }
  expect(browser.complaints.filter((it) => !/ERR_CONNECTION|502|WebSocket/.test(it))).toEqual([]);
});

async function takeSignInScreenshots() {
  const locked = await PipewatchServer.start({ PIPEWATCH_TOKENS: 'a-long-random-token-for-the-screenshots' });
  try {
    for (const scheme of ['light', 'dark'] as const) {
      for (const [form, viewport] of Object.entries(SIZES)) {
        const page = await browser.context.newPage();
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize(viewport);
        await page.goto(locked.url);
        await page.getByLabel('Token').waitFor();
        await page.screenshot({ path: `${FOLDER}sign-in-${form}-${scheme}.png` });
        await page.getByLabel('Token').fill('wrong');
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.getByText('Invalid token.').waitFor();
        await page.screenshot({ path: `${FOLDER}sign-in-failed-${form}-${scheme}.png` });
        await page.evaluate(() => sessionStorage.clear());
        await page.close();
      }
    }
  } finally {
    await locked.stop();
  }
  // The browser logs every 401.
  browser.complaints.splice(0, Number.POSITIVE_INFINITY, ...browser.complaints.filter((it) => !isNetworkComplaint(it)));
}

/** The screenshots of the README, cropped to the content. */
async function takeReadmeScreenshots() {
  for (const [name, scheme, width, height] of [
    ['overview', 'light', 1_200, 480],
    ['pipeline', 'dark', 1_200, 970],
    ['history', 'light', 1_200, 790],
    ['alerts', 'dark', 1_200, 850],
    ['error', 'light', 390, 844],
    ['pipeline', 'dark', 390, 844],
    ['graphiql', 'dark', 1_200, 790],
  ] as const) {
    const [, path = '', selector = '', then] = PAGES.find(([it]) => it === name) ?? [];
    const page = await browser.context.newPage();
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height });
    await page.goto(proxy.url + path);
    await page.locator(selector).first().waitFor();
    await then?.(page);
    await page.screenshot({ path: `${FOLDER}readme-${width < 1_000 ? 'phone-' : ''}${name}.png` });
    await page.close();
  }
}

/** Creates pipelines in every state, with several hours of runs. */
async function reportSampleData() {
  const at = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
  const runs = (sources: string[], good: number) =>
    sources.flatMap((source, index) =>
      Array.from({ length: 12 }, (_, run) => ({
        source,
        timestamp: at(run * 25 + index * 3 + 1),
        articles_collected: 20 + ((run * 7 + index * 11) % 17),
        events_extracted: 9 + ((run * 5 + index) % 8),
        geocoding_attempts: 16,
        geocoding_successes: Math.round(16 * good) - (run % 3 === 0 ? 1 : 0),
        validation_attempts: 16,
        validation_passes: 15 + (run % 2),
      })),
    );
  await server.report('news', ...runs(['punch', 'vanguard', 'guardian', 'thisday'], 0.94));
  await server.report('shop', ...runs(['orders', 'returns', 'stock'], 0.5));
  await server.report('shop', {
    source: 'orders',
    outcome: 'failed',
    error: 'connection to the database timed out after 30 s',
  });
  const end = at(2);
  await server.report('news', {
    source: 'punch',
    timestamp: end,
    articles_collected: 31,
    events_extracted: 12,
    checks: [{ name: 'deduplication', attempts: 120, passes: 117 }],
    steps: [
      { name: 'collection', state: 'ok', items_out: 31, started_at: at(8), ended_at: at(5) },
      { name: 'content-processing', state: 'ok', items_in: 31, items_out: 31, started_at: at(5), ended_at: at(4) },
      { name: 'extraction', state: 'ok', items_in: 31, items_out: 12, started_at: at(4), ended_at: at(3) },
      { name: 'geocoding', state: 'ok', items_in: 12, items_out: 11, started_at: at(3), ended_at: end },
    ],
  });
  await server.report(
    'trade',
    ...weeksOfRuns('customs', {
      6: { articles_collected: 3, events_extracted: 1, checks: [{ name: 'deduplication', attempts: 40, passes: 12 }] },
      9: { geocoding_successes: 24 },
      14: { geocoding_successes: 33 },
    }),
  );
  await server.report('weather', ...runs(['stations', 'radar'], 0.75));
  await server.report('ferries', ...runs(['harbour'], 0.4));
  const alerts = (pipeline: string, state: string): Promise<{ id: string }[]> =>
    vi.waitFor(
      async () => {
        const { alerts } = await server.graphql(
          `{ alerts(pipeline: "${pipeline}", states: [${state}]) { nodes { id } } }`,
        );
        expect(alerts.nodes).toHaveLength(1);
        return alerts.nodes;
      },
      { timeout: 30_000, interval: 100 },
    );
  await alerts('ferries', 'FIRING');
  await server.report('ferries', { source: 'harbour', geocoding_attempts: 4_000, geocoding_successes: 3_990 });
  await alerts('ferries', 'RESOLVED');
  const [weather] = await alerts('weather', 'FIRING');
  await server.graphql(
    `mutation { acknowledgeAlert(id: "${weather?.id}", author: "Ada", note: "reported to the provider") { id } }`,
  );
  await alerts('shop', 'FIRING');
}
