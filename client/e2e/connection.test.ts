import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Browser, isNetworkComplaint } from './support/browser';
import { FaultProxy, NO_PATH } from './support/proxy';
import { PipewatchServer } from './support/server';

let server: PipewatchServer;
let proxy: FaultProxy;
let browser: Browser;
let pipelines = 0;

beforeAll(async () => {
  server = await PipewatchServer.start();
  proxy = await FaultProxy.start(server);
});
afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
});
beforeEach(async () => {
  // A failed test may leave the server stopped.
  if (!server.isRunning) await server.resume();
  browser = await Browser.start();
});
afterEach(async () => {
  proxy.block({ socket: false, events: false, unanswered: NO_PATH, missing: NO_PATH });
  const { complaints } = browser;
  await browser.stop();
  expect(
    complaints.filter((it) => !isNetworkComplaint(it)),
    'on the consoles',
  ).toEqual([]);
});

const LABELS = ['Real-time updates', 'Real-time updates (SSE)', 'Polling mode', 'Reconnecting…', 'Disconnected'];
/** Enough for five failed attempts with backoff on a busy machine. */
const FALLBACK = { timeout: 60_000 };

const label = (page: Page, text: string) =>
  page.locator('.connection-status [role=status]').getByText(text, { exact: true });
const articles = (page: Page) => page.locator('.stat', { hasText: 'Articles' }).locator('.value');
const waitForArticles = (page: Page, count: number) =>
  page.waitForFunction((text) => document.querySelectorAll('.stat .value')[1]?.textContent === text, String(count));

/** Creates a pipeline with one report. */
async function createPipeline() {
  pipelines += 1;
  const pipeline = `wire-${pipelines}`;
  let reported = 0;
  const report = async () => {
    reported += 1;
    await server.report(pipeline, { source: `source-${reported % 3}`, articles_collected: 1 });
    return reported;
  };
  await report();
  const path = `${proxy.url}/#/pipelines/${pipeline}`;
  return { path, report, count: () => reported };
}

it('falls back to event streams and polling, and returns, without losing updates', async () => {
  const { path, report, count } = await createPipeline();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  // From here on every report must appear within a few seconds.
  let isDone = false;
  const reporting = (async () => {
    while (!isDone) {
      const expected = await report();
      await page.waitForFunction(
        (least) => Number(document.querySelectorAll('.stat .value')[1]?.textContent) >= least,
        expected,
        // One poll interval and the response, on a busy machine.
        { timeout: 20_000 },
      );
    }
  })();
  const fallBack = async () => {
    proxy.block({ socket: true });
    await label(page, 'Reconnecting…').waitFor();
    await label(page, 'Real-time updates (SSE)').waitFor(FALLBACK);
    proxy.block({ events: true });
    await label(page, 'Polling mode').waitFor(FALLBACK);
    proxy.block({ events: false });
    await label(page, 'Real-time updates (SSE)').waitFor(FALLBACK);
    proxy.block({ socket: false });
    await label(page, 'Real-time updates').waitFor(FALLBACK);
  };
  await Promise.race([fallBack(), reporting]);
  isDone = true;
  await reporting;
  expect(await articles(page).textContent()).toBe(String(count()));
}, 240_000);

it('shows the last status while the server is down, and reconnects when it is back', async () => {
  const { path, report } = await createPipeline();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  await server.kill();
  await label(page, 'Reconnecting…').waitFor();
  await page.getByText('Connection lost').waitFor(FALLBACK);
  await page.getByText(/Showing data from \d+ s ago/).waitFor();
  expect(await articles(page).textContent()).toBe('1');
  await label(page, 'Disconnected').waitFor(FALLBACK);
  expect(await page.title()).toMatch(/^Disconnected · /);
  await server.resume();
  // Refresh skips the wait until the next attempt.
  await page.getByRole('button', { name: 'Refresh' }).click();
  await label(page, 'Real-time updates').waitFor(FALLBACK);
  await waitForArticles(page, await report());
  expect(await page.getByText('Connection lost').count()).toBe(0);
}, 180_000);

it('loads missing code when the server is back', async () => {
  const { path } = await createPipeline();
  proxy.block({ unanswered: /^\/assets\/.*(trend|alerts)/ });
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  const alerts = page.getByRole('link', { name: 'Alerts' });
  await alerts.click();
  await page.getByLabel('Loading').waitFor();
  await server.kill();
  proxy.block({ unanswered: NO_PATH });
  await page.getByText('No data yet').waitFor(FALLBACK);
  await page.goBack();
  // The page shows its data without the charts.
  expect(await articles(page).textContent()).toBe('1');
  expect(await page.getByRole('heading', { name: 'Trend' }).count()).toBe(0);
  await server.resume();
  await page.getByRole('heading', { name: 'Trend' }).waitFor(FALLBACK);
  await alerts.click();
  await page.getByRole('heading', { name: 'Alerts' }).waitFor(FALLBACK);
}, 180_000);

it('a page whose files were removed by an update reloads', async () => {
  const { path } = await createPipeline();
  proxy.block({ missing: /^\/assets\/alerts/ });
  const page = await browser.open(path);
  await page.evaluate(() => document.documentElement.setAttribute('data-old', ''));
  await page.getByRole('link', { name: 'Alerts' }).click();
  await page.waitForFunction(() => !document.documentElement.hasAttribute('data-old'));
  proxy.block({ missing: NO_PATH });
  await page.getByRole('heading', { name: 'Alerts' }).waitFor(FALLBACK);
});

it('every page opens while the server is down', async () => {
  const { path } = await createPipeline();
  const page = await browser.open(path);
  await page.waitForFunction(() => performance.getEntriesByType('resource').some((it) => it.name.includes('/alerts-')));
  await server.kill();
  await page.getByRole('link', { name: 'Alerts' }).click();
  await page.getByRole('heading', { name: 'Alerts' }).waitFor();
  await page.getByText('Connection lost').waitFor(FALLBACK);
});

it('reconnects to a server that restarts', async () => {
  const { path, report } = await createPipeline();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  await server.kill('SIGTERM');
  await label(page, 'Reconnecting…').waitFor();
  await server.resume();
  await label(page, 'Real-time updates').waitFor(FALLBACK);
  await waitForArticles(page, await report());
});

it('gives up a hanging server and reconnects when it responds', async () => {
  const { path, report } = await createPipeline();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  server.signal('SIGSTOP');
  try {
    // Three intervals of silence.
    await label(page, 'Reconnecting…').waitFor(FALLBACK);
  } finally {
    server.signal('SIGCONT');
  }
  await label(page, 'Real-time updates').waitFor(FALLBACK);
  await waitForArticles(page, await report());
});

it('detects the loss of the network and reconnects', async () => {
  const { path, report } = await createPipeline();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  await browser.context.setOffline(true);
  await label(page, 'Disconnected').waitFor(FALLBACK);
  const expected = await report();
  await browser.context.setOffline(false);
  await label(page, 'Real-time updates').waitFor(FALLBACK);
  await waitForArticles(page, expected);
});

it('two tabs receive the same updates', async () => {
  const { path, report } = await createPipeline();
  const tabs = [await browser.open(path), await browser.open(path)];
  for (const tab of tabs) await label(tab, 'Real-time updates').waitFor();
  const expected = await report();
  for (const tab of tabs) await waitForArticles(tab, expected);
});

it('seven tabs share one event stream, and another tab takes over when the leader closes', async () => {
  proxy.block({ socket: true });
  const { path, report } = await createPipeline();
  const tabs: Page[] = [];
  for (let tab = 0; tab < 7; tab += 1) tabs.push(await browser.open(path));
  for (const tab of tabs) await label(tab, 'Real-time updates (SSE)').waitFor(FALLBACK);
  expect(proxy.streams).toBe(1);
  let expected = await report();
  for (const tab of tabs) await waitForArticles(tab, expected);
  // The first tab leads the stream, so closing tabs in order always closes the leader.
  for (const closing of tabs.splice(0, 3)) {
    await closing.close();
    expected = await report();
    for (const tab of tabs) await waitForArticles(tab, expected);
  }
  expect(proxy.streams).toBe(1);
  for (const tab of tabs)
    expect(LABELS.slice(0, 2)).toContain(await tab.locator('.connection-status [role=status]').textContent());
}, 180_000);
