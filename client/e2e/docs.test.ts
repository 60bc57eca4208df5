import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Browser, isNetworkComplaint } from './support/browser';
import { PipewatchServer } from './support/server';

const TOKEN = 'a-token-of-this-test';

let browser: Browser;
let server: PipewatchServer;

beforeAll(async () => {
  browser = await Browser.start();
});
afterAll(() => browser?.stop());
beforeEach(() => {
  browser.complaints.length = 0;
});
afterEach(() => server?.stop());

describe('the documentation of the REST API', () => {
  it('describes every route, loads nothing from elsewhere, and sends requests', async () => {
    server = await PipewatchServer.start();
    const page = await browser.context.newPage();
    const requested = new Set<string>();
    page.on('request', (request) => requested.add(new URL(request.url()).origin));
    await page.goto(`${server.url}/api/docs`);
    await page.locator('.opblock').first().waitFor();
    const description = await (await fetch(`${server.url}/api/openapi.json`)).json();
    for (const path of Object.keys(description.paths)) {
      await page.locator(`.opblock [data-path="${path}"]`).first().waitFor();
    }
    await page.locator('[data-path="/api/health/live"]').click();
    await page.getByRole('button', { name: 'Try it out' }).click();
    await page.getByRole('button', { name: 'Execute' }).click();
    await page.locator('.live-responses-table').getByText('"live"').first().waitFor();
    expect([...requested].filter((origin) => origin !== server.url && !/^(null|data:)/.test(origin))).toEqual([]);
    expect(browser.complaints).toEqual([]);
  });

  it('asks for the token of a server that requires one', async () => {
    server = await PipewatchServer.start({ PIPEWATCH_TOKENS: TOKEN });
    const page = await browser.open(`${server.url}/api/docs`);
    await page.getByLabel('Access token').fill(TOKEN);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.opblock').first().waitFor();
    await page.locator('[data-path="/metrics"]').click();
    await page.getByRole('button', { name: 'Try it out' }).click();
    await page.getByRole('button', { name: 'Execute' }).click();
    await page.locator('.live-responses-table').getByText('pipewatch_exported_series').first().waitFor();
    expect(browser.complaints.filter((complaint) => !isNetworkComplaint(complaint))).toEqual([]);
  });
});
