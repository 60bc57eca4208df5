import { afterAll, beforeAll, expect, it } from 'vitest';
import { Browser } from './support/browser';
import { PipewatchServer } from './support/server';

let server: PipewatchServer;
let browser: Browser;

beforeAll(async () => {
  server = await PipewatchServer.start({ PIPEWATCH_INTERVAL: '10m', PIPEWATCH_CORS_ORIGINS: '*' });
  browser = await Browser.start();
});
afterAll(async () => {
  await browser?.stop();
  await server?.stop();
});

it('watch.html follows a pipeline with EventSource when opened as a file', async () => {
  await server.report('shop', { articles_collected: 3 });
  const url = new URL('../../examples/browser/watch.html', import.meta.url);
  url.search = String(new URLSearchParams({ server: server.url, pipeline: 'shop' }));
  const page = await browser.open(url.href);
  await page.getByText('live', { exact: true }).waitFor();
  await page.getByText('3 articles in the window').waitFor();
  expect(await page.getByRole('heading').innerText()).toBe('shop');
  await server.report('shop', { articles_collected: 4 });
  await page.getByText('7 articles in the window').waitFor();
  expect(await page.getByRole('status').innerText()).toBe('healthy');
  expect(browser.complaints).toEqual([]);
});

it('a badge renders in a browser', async () => {
  await server.report('shop', { articles_collected: 1 });
  const page = await browser.open(`${server.url}/badge/shop.svg`);
  expect(await page.locator('title').textContent()).toBe('shop: healthy');
  const sizes = await page.evaluate(() => [...document.querySelectorAll('text')].map((it) => it.getBBox().width));
  expect(sizes.every((width) => width > 10)).toBe(true);
  expect(browser.complaints).toEqual([]);
});
