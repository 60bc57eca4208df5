import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Browser } from './support/browser';
import { FaultProxy } from './support/proxy';
import { PipewatchServer, type Run } from './support/server';

let server: PipewatchServer;
let proxy: FaultProxy;
let browser: Browser;

beforeAll(async () => {
  server = await PipewatchServer.start();
  proxy = await FaultProxy.start(server);
  browser = await Browser.start();
});
afterAll(async () => {
  await browser?.stop();
  await proxy?.stop();
  await server?.stop();
});

const run = (index: number): Run => ({
  source: `source-${index}`,
  articles_collected: 5,
  geocoding_attempts: 5,
  geocoding_successes: 5,
});

/** The CPU time of a page's main thread in seconds, so that other load on this machine does not count. */
async function mainThread(page: Page): Promise<() => Promise<number>> {
  const debug = await page.context().newCDPSession(page);
  await debug.send('Performance.enable', { timeDomain: 'threadTicks' });
  return async () => {
    const { metrics } = await debug.send('Performance.getMetrics');
    return metrics.find((it) => it.name === 'TaskDuration')?.value ?? 0;
  };
}

it('updating 1,000 sources every second keeps the main thread under 5 % busy', async () => {
  await server.report('large', ...Array.from({ length: 1_000 }, (_, index) => run(index)));
  const page = await browser.open(`${proxy.url}/#/pipelines/large`);
  await page.locator('.data-table tbody tr').nth(49).waitFor();
  const busy = await mainThread(page);
  const [before, start] = [await busy(), performance.now()];
  let updates = 0;
  const stopReporting = server.reportEvery(1_000, 'large', () => {
    updates += 1;
    return [run(updates)];
  });
  // The fifteenth update is shown.
  await page.waitForFunction(
    (least) => Number(document.querySelectorAll('.stat .value')[1]?.textContent?.replace(',', '')) >= least,
    5_000 + 15 * 5,
    { polling: 100 },
  );
  const share = ((await busy()) - before) / ((performance.now() - start) / 1_000);
  await stopReporting();
  console.log(`1,000 sources, one update per second: main thread ${(100 * share).toFixed(1)} % busy`);
  expect(share).toBeLessThan(0.05);
});

it('is interactive after less than one second of work', async () => {
  const page = await browser.context.newPage();
  const busy = await mainThread(page);
  const [before, start] = [await busy(), performance.now()];
  await page.goto(`${proxy.url}/#/pipelines/large`);
  await page.locator('.stat').first().waitFor();
  const [took, worked] = [performance.now() - start, (await busy()) - before];
  console.log(
    `interactive after ${took.toFixed(0)} ms, of which the main thread worked ${(1_000 * worked).toFixed(0)} ms`,
  );
  expect(worked).toBeLessThan(1);
  expect(browser.complaints).toEqual([]);
});
