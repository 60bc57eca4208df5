import { afterAll, beforeAll, expect, it } from 'vitest';
import { violationsOf } from './axe';
import { Browser } from './browser';
import { PipewatchServer } from './server';
import { Site } from './site';
import { weeks } from './weeks';

let server: PipewatchServer;
let site: Site;
let browser: Browser;

beforeAll(async () => {
  server = await PipewatchServer.start({ PIPEWATCH_EVALUATION_INTERVAL: '500ms' });
  site = await Site.start(server);
  browser = await Browser.start();
});
afterAll(async () => {
  await browser?.stop();
  await site?.stop();
  await server?.stop();
});

it('histories mark what the statistics find in weeks of real runs', async () => {
  await server.report('trade', ...weeks('customs', { 6: { articles_collected: 3 } }));
  const page = await browser.open(`${site.url}/#/pipelines/trade`);
  await page.getByRole('button', { name: '24 h' }).click();
  // It is judged by source: the pipeline leads there.
  await page.getByText('Anomalies of single sources').getByRole('link', { name: 'customs' }).click();
  const list = page.getByRole('list', { name: 'Anomalies of volumes' });
  const entry = list.getByRole('listitem').filter({ hasText: 'articles of customs: 3 where' });
  await entry.getByText(/p < 0\.000001, alert below 0\./).waitFor();
  await entry.getByRole('button').focus();
  const chart = page.locator('.chart', { hasText: 'Volumes' });
  const box = await chart.locator('.u-over').boundingBox();
  if (!box) throw new Error('there is no chart');
  // The run of six hours ago, or of the hour before where the hour has just begun, on 24 points.
  const sought = chart.locator('.tip').getByText('articles of customs: 3 where');
  const found: boolean[] = [];
  for (const ago of [6, 7]) {
    await page.mouse.move(box.x + (box.width * (23 - ago)) / 23, box.y + box.height / 2);
    found.push(await sought.isVisible());
  }
  expect(found).toContain(true);
  expect(await violationsOf(page)).toEqual([]);
  expect(browser.complaints).toEqual([]);
});

it('a check that a reporter named has a chart of its own, marked in the same way', async () => {
  const change = { checks: [{ name: 'deduplication', attempts: 40, passes: 9 }] };
  await server.report('shop', ...weeks('orders', { 6: change }));
  const page = await browser.open(`${site.url}/#/pipelines/shop`);
  await page.getByRole('img', { name: /^deduplication of the last 24 hours, by the hour: .*22\.5 %/ }).waitFor();
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByRole('img', { name: /^Deduplication over time\. Last, Deduplication: 9[57]\.[05] %$/ }).waitFor();
  await page.getByText('Anomalies of single sources').getByRole('link', { name: 'orders' }).click();
  const list = page.getByRole('list', { name: 'Anomalies of deduplication' });
  await list.getByText(/deduplication of orders: 9 of 40/).waitFor();
  expect(await violationsOf(page)).toEqual([]);
  expect(browser.complaints).toEqual([]);
});
