import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { violationsOf } from './axe';
import { Browser, ofNetwork } from './browser';
import { PipewatchServer } from './server';
import { Site } from './site';

const TOKEN = 'a-long-random-text-for-the-tests';

let server: PipewatchServer;
let site: Site;
let browser: Browser;

beforeAll(async () => {
  server = await PipewatchServer.start({ PIPEWATCH_EVALUATION_INTERVAL: '200ms' });
  site = await Site.start(server);
});
afterAll(async () => {
  await site?.stop();
  await server?.stop();
});
beforeEach(async () => {
  browser = await Browser.start();
});
afterEach(async () => {
  const { complaints } = browser;
  await browser.stop();
  expect(complaints, 'on the consoles').toEqual([]);
});

it('an alert shows by itself, is acknowledged and silenced from the page, and is resolved', async () => {
  const page = await browser.open(`${site.url}/#/alerts`);
  await page.getByText('Nothing fires.').waitFor();
  await server.report('news', { geocoding_attempts: 40, geocoding_successes: 2 });
  const alert = page.locator('.alert', { hasText: 'geocoding' });
  await page.getByRole('region', { name: 'Firing' }).getByText('geocoding of news is below its threshold').waitFor();
  expect(await alert.textContent()).toContain('2 of 40');

  await alert.getByRole('button', { name: 'Acknowledge' }).click();
  await alert.getByLabel('Your name').fill('Ada');
  await alert.getByLabel('Note').fill('the maps are down');
  await alert.getByRole('button', { name: 'I look at it' }).click();
  await page.getByRole('region', { name: 'Acknowledged' }).getByText('Ada looks: the maps are down').waitFor();

  await alert.getByRole('button', { name: 'Silence' }).click();
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violationsOf(page), colorScheme).toEqual([]);
  }
  await alert.getByLabel('Why').fill('until it is repaired');
  await alert.getByRole('button', { name: 'Silence it' }).click();
  await page.getByText(/threshold, news until .* by Ada: until it is repaired/).waitFor();
  await page.getByRole('button', { name: 'End it' }).click();
  await page.getByText(/until it is repaired/).waitFor({ state: 'detached' });

  await server.report('news', { source: 'other', geocoding_attempts: 4_000, geocoding_successes: 4_000 });
  await page.getByRole('region', { name: 'Resolved' }).getByText('geocoding of news is below its threshold').waitFor();
});

it('steps of alerts come over the connection that there is, and the last list stays when the server is gone', async () => {
  const page = await browser.context.newPage();
  const frames: string[] = [];
  let sockets = 0;
  page.on('websocket', (socket) => {
    sockets += 1;
    socket.on('framereceived', ({ payload }) => frames.push(String(payload)));
  });
  const label = (text: string) =>
    page.locator('.pill [role=status]').getByText(text, { exact: true }).waitFor({ timeout: 60_000 });
  const bad = { geocoding_attempts: 40, geocoding_successes: 2 };
  const firing = (pipeline: string) =>
    page.getByRole('region', { name: 'Firing' }).getByText(`geocoding of ${pipeline} is below its threshold`);
  await page.goto(`${site.url}/#/alerts`);
  await label('Real-time updates');
  await server.report('by-socket', bad);
  await firing('by-socket').waitFor();
  expect(sockets).toBe(1);
  expect(frames.filter((it) => it.includes('alertEvents'))).not.toEqual([]);
  await server.report('by-socket', { ...bad, source: 'other', geocoding_attempts: 4_000, geocoding_successes: 4_000 });
  await page
    .getByRole('region', { name: 'Resolved' })
    .getByText('geocoding of by-socket is below its threshold')
    .waitFor();

  site.block({ socket: true });
  await label('Real-time updates (SSE)');
  await server.report('by-events', bad);
  await firing('by-events').waitFor();

  site.block({ events: true });
  await label('Polling mode');
  await server.report('by-polls', bad);
  await firing('by-polls').waitFor();

  await server.kill();
  await page.getByText('The server does not answer').waitFor({ timeout: 60_000 });
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violationsOf(page), colorScheme).toEqual([]);
  }
  await page.getByRole('button', { name: 'Refresh' }).click();
  await firing('by-polls').waitFor();
  site.block({ socket: false, events: false });
  await server.resume();
  await page.getByRole('button', { name: 'Refresh' }).click();
  await label('Real-time updates');
  await server.report('again', bad);
  await firing('again').waitFor();
  await firing('by-polls').waitFor();
  // The browser tells of every connection that is cut.
  await page.close();
  browser.complaints.splice(0, Number.POSITIVE_INFINITY, ...browser.complaints.filter((it) => !ofNetwork(it)));
}, 240_000);

it("a pipeline's page shows its alerts, checks of any name, and the steps of the last cycle", async () => {
  const timestamp = new Date();
  const steps = [
    {
      name: 'collection',
      state: 'ok',
      items_out: 12,
      started_at: new Date(timestamp.getTime() - 90_000).toISOString(),
      ended_at: timestamp.toISOString(),
    },
    { name: 'extraction', state: 'failed', items_in: 12, items_out: 3 },
  ];
  const checks = [{ name: 'deduplication', attempts: 40, passes: 2 }];
  await server.report('shop', { timestamp: timestamp.toISOString(), steps, checks });
  const page = await browser.open(`${site.url}/#/pipelines/shop`);
  await page
    .getByRole('region', { name: 'Alerts and anomalies' })
    .getByText('deduplication of shop is below')
    .waitFor();
  await page.locator('.steps li', { hasText: 'collection' }).getByText('1 min').waitFor();
  expect(await page.locator('.steps li', { hasText: 'extraction' }).textContent()).toBe(
    'extractionfailed in 1 of 112 in, 3 out',
  );
  await page.locator('.checks').getByText('2 of 40').waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await page.goto(site.url);
  await page.locator('.card', { hasText: 'shop' }).getByText('1 alert, data quality: error').waitFor();
});

it('GraphiQL takes the token among its headers, for subscriptions too', async () => {
  const locked = await PipewatchServer.start({ PIPEWATCH_TOKENS: TOKEN });
  try {
    const page = await browser.open(`${locked.url}/graphiql`);
    await page.locator('.graphiql-query-editor').getByText('pipelineStatusUpdates').waitFor();
    await page.getByRole('button', { name: 'Headers' }).click();
    await page.locator('.graphiql-editor-tool .graphiql-editor:not(.hidden) .view-lines').click();
    await page.keyboard.insertText(`{"Authorization": "Bearer ${TOKEN}"}`);
    await page.getByRole('button', { name: /Execute query/ }).click();
    await page.locator('.graphiql-response').getByText('overallStatus').first().waitFor();
    await page.close();
    // Without the token its question for the schema was refused.
    browser.complaints.splice(0, Number.POSITIVE_INFINITY, ...browser.complaints.filter((it) => !ofNetwork(it)));
  } finally {
    await locked.stop();
  }
});

it('a server with tokens lets in who has one', async () => {
  const locked = await PipewatchServer.start({ PIPEWATCH_TOKENS: TOKEN });
  const door = await Site.start(locked);
  try {
    await locked.report('news', { articles_collected: 7 });
    const page = await browser.open(`${door.url}/#/pipelines/news`);
    await page.getByText('This server asks for a token').waitFor();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await violationsOf(page), colorScheme).toEqual([]);
    }
    await page.getByLabel('Token').fill(TOKEN);
    await page.getByRole('button', { name: 'Show the status' }).click();
    await page.locator('.figure', { hasText: 'Articles' }).getByText('7', { exact: true }).waitFor();
    await page.locator('.pill [role=status]').getByText('Real-time updates', { exact: true }).waitFor();
    await page.getByText('1 run', { exact: true }).waitFor();
    await page.close();
    // The browser tells of every 401 itself.
    browser.complaints.splice(0, Number.POSITIVE_INFINITY, ...browser.complaints.filter((it) => !ofNetwork(it)));
  } finally {
    await door.stop();
    await locked.stop();
  }
});
