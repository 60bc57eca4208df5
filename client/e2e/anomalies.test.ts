import { afterAll, beforeAll, expect, it } from 'vitest';
import { findAxeViolations } from './support/axe';
import { Browser } from './support/browser';
import { weeksOfRuns } from './support/history-fixture';
import { FaultProxy } from './support/proxy';
import { PipewatchServer } from './support/server';

let server: PipewatchServer;
let proxy: FaultProxy;
let browser: Browser;

beforeAll(async () => {
  server = await PipewatchServer.start({ PIPEWATCH_EVALUATION_INTERVAL: '500ms' });
  proxy = await FaultProxy.start(server);
  browser = await Browser.start();
});
afterAll(async () => {
  await browser?.stop();
  await proxy?.stop();
  await server?.stop();
});

it('the history of a source marks its anomalies', async () => {
  await server.report('trade', ...weeksOfRuns('customs', { 6: { articles_collected: 3 } }));
  const page = await browser.open(`${proxy.url}/#/pipelines/trade`);
  await page.getByRole('button', { name: '24 h' }).click();
  // Volumes are judged per source, so the pipeline links to the source.
  await page.getByText('Anomalies in individual sources').getByRole('link', { name: 'customs' }).click();
  const list = page.getByRole('list', { name: 'Volumes anomalies' });
  const entry = list.getByRole('listitem').filter({ hasText: /customs: 3, .*p < 0\.000001, alert threshold 0\./ });
  await entry.waitFor();
  await entry.getByRole('button').focus();
  const chart = page.locator('.chart', { hasText: 'Volumes' });
  const box = await chart.locator('.u-over').boundingBox();
  if (!box) throw new Error('the chart is missing');
  // The run of six hours ago is on one of these two of the 24 points, depending on the minute of the hour.
  const tooltip = chart
    .locator('.tooltip')
    .getByText(/customs/)
    .first();
  const isShown: boolean[] = [];
  for (const ago of [6, 7]) {
    await page.mouse.move(box.x + (box.width * (23 - ago)) / 23, box.y + box.height / 2);
    isShown.push(await tooltip.isVisible());
  }
  expect(isShown).toContain(true);
  expect(await findAxeViolations(page)).toEqual([]);
  expect(browser.complaints).toEqual([]);
});

it('a custom check has its own chart with its anomalies', async () => {
  const change = { checks: [{ name: 'deduplication', attempts: 40, passes: 9 }] };
  await server.report('shop', ...weeksOfRuns('orders', { 6: change }));
  const page = await browser.open(`${proxy.url}/#/pipelines/shop`);
  await page.getByRole('img', { name: /^Hourly deduplication rate of the last 24 hours: .*22\.5 %/ }).waitFor();
  await page.getByRole('button', { name: '24 h' }).click();
  await page.getByRole('img', { name: /^Deduplication over time\. Latest: Deduplication 9[57]\.[05] %$/ }).waitFor();
  await page.getByText('Anomalies in individual sources').getByRole('link', { name: 'orders' }).click();
  const list = page.getByRole('list', { name: 'Deduplication anomalies' });
  await list.getByText(/orders.*9 of 40/).waitFor();
  expect(await findAxeViolations(page)).toEqual([]);
  expect(browser.complaints).toEqual([]);
});
