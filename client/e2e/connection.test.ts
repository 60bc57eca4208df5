import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Browser, ofNetwork } from './browser';
import { PipewatchServer } from './server';
import { NOTHING, Site } from './site';

let server: PipewatchServer;
let site: Site;
let browser: Browser;
let pipelines = 0;

beforeAll(async () => {
  server = await PipewatchServer.start();
  site = await Site.start(server);
});
afterAll(async () => {
  await site?.stop();
  await server?.stop();
});
beforeEach(async () => {
  // One that a test stopped and could not start again must not fail the next.
  if (!server.isRunning) await server.resume();
  browser = await Browser.start();
});
afterEach(async () => {
  site.block({ socket: false, events: false, held: NOTHING, missing: NOTHING });
  const { complaints } = browser;
  await browser.stop();
  expect(
    complaints.filter((it) => !ofNetwork(it)),
    'on the consoles',
  ).toEqual([]);
});

const LABELS = ['Real-time updates', 'Real-time updates (SSE)', 'Polling mode', 'Reconnecting…', 'Disconnected'];
/** Five failed tries with their waits, and some for a busy machine. */
const FALL = { timeout: 60_000 };

const label = (page: Page, text: string) => page.locator('.pill [role=status]').getByText(text, { exact: true });
const articles = (page: Page) => page.locator('.figure', { hasText: 'Articles' }).locator('.value');
const waitForArticles = (page: Page, count: number) =>
  page.waitForFunction((text) => document.querySelectorAll('.figure .value')[1]?.textContent === text, String(count));

/** A pipeline and a page that shows it. */
async function watched() {
  pipelines += 1;
  const pipeline = `wire-${pipelines}`;
  let reported = 0;
  const report = async () => {
    reported += 1;
    await server.report(pipeline, { source: `source-${reported % 3}`, articles_collected: 1 });
    return reported;
  };
  await report();
  const path = `${site.url}/#/pipelines/${pipeline}`;
  return { path, report, count: () => reported };
}

it('falls to event streams and to polling when the better ways are blocked, and returns by itself, with data all the while', async () => {
  const { path, report, count } = await watched();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  // From now on a report a second must always be seen before long.
  let isOver = false;
  let latest = 0;
  const flow = (async () => {
    while (!isOver) {
      const expected = await report();
      const start = performance.now();
      await page.waitForFunction(
        (least) => Number(document.querySelectorAll('.figure .value')[1]?.textContent) >= least,
        expected,
        { timeout: 20_000 },
      );
      latest = Math.max(latest, performance.now() - start);
    }
  })();
  const steps = async () => {
    site.block({ socket: true });
    await label(page, 'Reconnecting…').waitFor();
    await label(page, 'Real-time updates (SSE)').waitFor(FALL);
    site.block({ events: true });
    await label(page, 'Polling mode').waitFor(FALL);
    site.block({ events: false });
    await label(page, 'Real-time updates (SSE)').waitFor(FALL);
    site.block({ socket: false });
    await label(page, 'Real-time updates').waitFor(FALL);
  };
  await Promise.race([steps(), flow]);
  isOver = true;
  await flow;
  expect(await articles(page).textContent()).toBe(String(count()));
  // No more than a poll and its answer.
  expect(latest).toBeLessThan(8_000);
}, 240_000);

it('shows the last known status while the server is gone, and goes on when it is back', async () => {
  const { path, report } = await watched();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  await server.kill();
  await label(page, 'Reconnecting…').waitFor();
  await page.getByText('The server does not answer').waitFor(FALL);
  await page.getByText(/What is shown is what was known \d+ s ago/).waitFor();
  expect(await articles(page).textContent()).toBe('1');
  await label(page, 'Disconnected').waitFor(FALL);
  expect(await page.title()).toMatch(/^Disconnected · /);
  await server.resume();
  // Without waiting for the next of its tries.
  await page.getByRole('button', { name: 'Refresh' }).click();
  await label(page, 'Real-time updates').waitFor({ timeout: 5_000 });
  await waitForArticles(page, await report());
  expect(await page.getByText('The server does not answer').count()).toBe(0);
}, 180_000);

it('goes without the code that did not come before the server was gone, and has it when the server is back', async () => {
  const { path } = await watched();
  site.block({ held: /^\/assets\/.*(trend|alerts)/ });
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  const alerts = page.getByRole('link', { name: 'Alerts' });
  await alerts.click();
  await page.getByLabel('Loading').waitFor();
  await server.kill();
  site.block({ held: NOTHING });
  await page.getByText('Nothing is known yet').waitFor(FALL);
  await page.goBack();
  // What is known is shown, with nothing in the place of the charts.
  expect(await articles(page).textContent()).toBe('1');
  expect(await page.getByRole('heading', { name: 'Trend' }).count()).toBe(0);
  await server.resume();
  await page.getByRole('heading', { name: 'Trend' }).waitFor(FALL);
  await alerts.click();
  await page.getByRole('heading', { name: 'Alerts' }).waitFor(FALL);
}, 180_000);

it('a page whose files went with an older version is loaded anew', async () => {
  const { path } = await watched();
  site.block({ missing: /^\/assets\/alerts/ });
  const page = await browser.open(path);
  await page.evaluate(() => document.documentElement.setAttribute('data-old', ''));
  await page.getByRole('link', { name: 'Alerts' }).click();
  await page.waitForFunction(() => !document.documentElement.hasAttribute('data-old'));
  site.block({ missing: NOTHING });
  await page.getByRole('heading', { name: 'Alerts' }).waitFor(FALL);
});

it('every page can be turned to while the server is gone', async () => {
  const { path } = await watched();
  const page = await browser.open(path);
  await page.waitForFunction(() => performance.getEntriesByType('resource').some((it) => it.name.includes('/alerts-')));
  await server.kill();
  await page.getByRole('link', { name: 'Alerts' }).click();
  await page.getByRole('heading', { name: 'Alerts' }).waitFor();
  await page.getByText('The server does not answer').waitFor(FALL);
});

it('follows a server that restarts by itself', async () => {
  const { path, report } = await watched();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  await server.kill('SIGTERM');
  await label(page, 'Reconnecting…').waitFor();
  await server.resume();
  await label(page, 'Real-time updates').waitFor(FALL);
  await waitForArticles(page, await report());
});

it('a server that hangs is given up, and found again', async () => {
  const { path, report } = await watched();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  server.signal('SIGSTOP');
  try {
    // Three intervals of silence.
    await label(page, 'Reconnecting…').waitFor({ timeout: 25_000 });
  } finally {
    server.signal('SIGCONT');
  }
  await label(page, 'Real-time updates').waitFor(FALL);
  await waitForArticles(page, await report());
});

it('notices that the network is gone, and goes on when it is back', async () => {
  const { path, report } = await watched();
  const page = await browser.open(path);
  await label(page, 'Real-time updates').waitFor();
  await browser.context.setOffline(true);
  await label(page, 'Disconnected').waitFor(FALL);
  const expected = await report();
  await browser.context.setOffline(false);
  await label(page, 'Real-time updates').waitFor(FALL);
  await waitForArticles(page, expected);
});

it('two tabs show the same', async () => {
  const { path, report } = await watched();
  const tabs = [await browser.open(path), await browser.open(path)];
  for (const tab of tabs) await label(tab, 'Real-time updates').waitFor();
  const expected = await report();
  for (const tab of tabs) await waitForArticles(tab, expected);
});

it('seven tabs share one event stream when the WebSocket is blocked, and another takes over when its tab closes', async () => {
  site.block({ socket: true });
  const { path, report } = await watched();
  const tabs: Page[] = [];
  for (let tab = 0; tab < 7; tab += 1) tabs.push(await browser.open(path));
  for (const tab of tabs) await label(tab, 'Real-time updates (SSE)').waitFor(FALL);
  expect(site.streams).toBe(1);
  let expected = await report();
  for (const tab of tabs) await waitForArticles(tab, expected);
  // The first that fell to event streams leads; each of those left must do without it.
  for (const gone of tabs.splice(0, 3)) {
    await gone.close();
    expected = await report();
    for (const tab of tabs) await waitForArticles(tab, expected);
  }
  expect(site.streams).toBe(1);
  for (const tab of tabs) expect(LABELS.slice(0, 2)).toContain(await tab.locator('.pill [role=status]').textContent());
}, 180_000);
