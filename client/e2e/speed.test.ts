import { afterAll, beforeAll, expect, it } from 'vitest';
import { Browser } from './browser';
import { PipewatchServer, type Run } from './server';
import { Site } from './site';

let server: PipewatchServer;
let site: Site;
let browser: Browser;

beforeAll(async () => {
  server = await PipewatchServer.start();
  site = await Site.start(server);
  browser = await Browser.start();
});
afterAll(async () => {
  await browser?.stop();
  await site?.stop();
  await server?.stop();
});

const run = (index: number): Run => ({
  source: `source-${index}`,
  articles_collected: 5,
  geocoding_attempts: 5,
  geocoding_successes: 5,
});

it('a thousand sources at an update a second keep the main thread under 5 % busy', async () => {
  await server.report('large', ...Array.from({ length: 1_000 }, (_, index) => run(index)));
  const page = await browser.open(`${site.url}/#/pipelines/large`);
  await page.locator('.sources tbody tr').nth(49).waitFor();
  const debug = await page.context().newCDPSession(page);
  // The thread's own time, so that what else this machine does is not counted.
  await debug.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busy = async () => {
    const { metrics } = await debug.send('Performance.getMetrics');
    return metrics.find((it) => it.name === 'TaskDuration')?.value ?? 0;
  };
  const [before, start] = [await busy(), performance.now()];
  let updates = 0;
  const end = server.reportEvery(1_000, 'large', () => {
    updates += 1;
    return [run(updates)];
  });
  // The fifteenth is shown.
  await page.waitForFunction(
    (least) => Number(document.querySelectorAll('.figure .value')[1]?.textContent?.replace(',', '')) >= least,
    5_000 + 15 * 5,
    { polling: 100 },
  );
  const share = ((await busy()) - before) / ((performance.now() - start) / 1_000);
  await end();
  console.log(`1,000 sources, an update a second: the main thread is ${(100 * share).toFixed(1)} % busy`);
  expect(share).toBeLessThan(0.05);
});

it('is interactive within a second', async () => {
  const page = await browser.context.newPage();
  const start = performance.now();
  await page.goto(`${site.url}/#/pipelines/large`);
  await page.locator('.figure').first().waitFor();
  const took = performance.now() - start;
  console.log(`interactive after ${took.toFixed(0)} ms`);
  expect(took).toBeLessThan(1_000);
  expect(browser.complaints).toEqual([]);
});
