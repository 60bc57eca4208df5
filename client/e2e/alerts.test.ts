import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { findAxeViolations } from './support/axe';
import { Browser, isNetworkComplaint } from './support/browser';
import { FaultProxy } from './support/proxy';
import { PipewatchServer } from './support/server';

const TOKEN = 'a-long-random-token-for-the-tests';

let server: PipewatchServer;
let proxy: FaultProxy;
let browser: Browser;

beforeAll(async () => {
  server = await PipewatchServer.start({ PIPEWATCH_EVALUATION_INTERVAL: '200ms' });
  proxy = await FaultProxy.start(server);
});
afterAll(async () => {
  await proxy?.stop();
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

it('an alert appears, is acknowledged and silenced on the page, and resolves', async () => {
  const page = await browser.open(`${proxy.url}/#/alerts`);
  await page.getByText('No firing alerts.').waitFor();
  await server.report('news', { geocoding_attempts: 40, geocoding_successes: 2 });
  const alert = page.locator('.alert-card', { hasText: 'geocoding' });
  await page.getByRole('region', { name: 'Firing' }).locator('.alert-card', { hasText: 'news' }).waitFor();
  expect(await alert.getAttribute('data-severity')).toBe('HIGH');

  await alert.getByRole('button', { name: 'Acknowledge', exact: true }).click();
  await alert.getByLabel('Your name').fill('Ada');
  await alert.getByLabel('Note').fill('the maps are down');
  await alert.getByRole('button', { name: 'Acknowledge alert' }).click();
  await page
    .getByRole('region', { name: 'Acknowledged' })
    .getByText('Acknowledged by Ada: the maps are down')
    .waitFor();

  await alert.getByRole('button', { name: 'Silence', exact: true }).click();
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await findAxeViolations(page), colorScheme).toEqual([]);
  }
  await alert.getByLabel('Reason').fill('until it is repaired');
  await alert.getByRole('button', { name: 'Create silence' }).click();
  await page.getByText(/Threshold, news until .* by Ada: until it is repaired/).waitFor();
  await page.getByRole('button', { name: 'Expire' }).click();
  await page.getByText(/until it is repaired/).waitFor({ state: 'detached' });

  await server.report('news', { source: 'other', geocoding_attempts: 4_000, geocoding_successes: 4_000 });
  await page.getByRole('region', { name: 'Resolved' }).locator('.alert-card', { hasText: 'news' }).waitFor();
});

it('alert events arrive over every transport, and the list stays when the server is down', async () => {
  const page = await browser.context.newPage();
  const frames: string[] = [];
  let sockets = 0;
  page.on('websocket', (socket) => {
    sockets += 1;
    socket.on('framereceived', ({ payload }) => frames.push(String(payload)));
  });
  const label = (text: string) =>
    page.locator('.connection-status [role=status]').getByText(text, { exact: true }).waitFor({ timeout: 60_000 });
  const bad = { geocoding_attempts: 40, geocoding_successes: 2 };
  const inState = (state: string, pipeline: string) =>
    page.getByRole('region', { name: state }).locator('.alert-card', { hasText: pipeline });
  const firing = (pipeline: string) => inState('Firing', pipeline);
  await page.goto(`${proxy.url}/#/alerts`);
  await label('Real-time updates');
  await server.report('by-socket', bad);
  await firing('by-socket').waitFor();
  expect(sockets).toBe(1);
  expect(frames.filter((it) => it.includes('alertEvents'))).not.toEqual([]);
  await server.report('by-socket', { ...bad, source: 'other', geocoding_attempts: 4_000, geocoding_successes: 4_000 });
  await inState('Resolved', 'by-socket').waitFor();

  proxy.block({ socket: true });
  await label('Real-time updates (SSE)');
  await server.report('by-events', bad);
  await firing('by-events').waitFor();

  proxy.block({ events: true });
  await label('Polling mode');
  await server.report('by-polls', bad);
  await firing('by-polls').waitFor();

  await server.kill();
  await page.getByText('Connection lost').waitFor({ timeout: 60_000 });
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await findAxeViolations(page), colorScheme).toEqual([]);
  }
  await page.getByRole('button', { name: 'Refresh' }).click();
  await firing('by-polls').waitFor();
  proxy.block({ socket: false, events: false });
  await server.resume();
  await page.getByRole('button', { name: 'Refresh' }).click();
  await label('Real-time updates');
  await server.report('again', bad);
  await firing('again').waitFor();
  await firing('by-polls').waitFor();
  // The browser logs every broken connection.
  await page.close();
  browser.complaints.splice(0, Number.POSITIVE_INFINITY, ...browser.complaints.filter((it) => !isNetworkComplaint(it)));
}, 240_000);

it("a pipeline's page shows its alerts, custom checks and the steps of the last cycle", async () => {
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
  const page = await browser.open(`${proxy.url}/#/pipelines/shop`);
  await page
    .getByRole('region', { name: 'Alerts and anomalies' })
    .getByText(/deduplication/)
    .first()
    .waitFor();
  await page.locator('.steps li', { hasText: 'collection' }).getByText('1 min').waitFor();
  expect(await page.locator('.steps li', { hasText: 'extraction' }).textContent()).toBe(
    'extractionFailed in 1 of 1 source12 in, 3 out',
  );
  await page.locator('.checks').getByText('2 of 40').waitFor();
  expect(await findAxeViolations(page)).toEqual([]);
  await page.goto(proxy.url);
  await page.locator('.pipeline-card', { hasText: 'shop' }).getByText('1 alert, data quality: error').waitFor();
});

it('GraphiQL sends the token from its headers, with subscriptions too', async () => {
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
    // Without the token, the introspection query was rejected.
    browser.complaints.splice(
      0,
      Number.POSITIVE_INFINITY,
      ...browser.complaints.filter((it) => !isNetworkComplaint(it)),
    );
  } finally {
    await locked.stop();
  }
});

it('a server with tokens shows the sign-in form', async () => {
  const locked = await PipewatchServer.start({ PIPEWATCH_TOKENS: TOKEN });
  const lockedProxy = await FaultProxy.start(locked);
  try {
    await locked.report('news', { articles_collected: 7 });
    const page = await browser.open(`${lockedProxy.url}/#/pipelines/news`);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await findAxeViolations(page), colorScheme).toEqual([]);
    }
    expect(await page.title()).toBe('Sign in · Pipewatch');
    await page.getByLabel('Token').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Invalid token.').waitFor();
    expect(await findAxeViolations(page)).toEqual([]);
    await page.getByLabel('Token').fill(TOKEN);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.stat', { hasText: 'Articles' }).getByText('7', { exact: true }).waitFor();
    await page.locator('.connection-status [role=status]').getByText('Real-time updates', { exact: true }).waitFor();
    await page.getByText('1 run', { exact: true }).waitFor();
    await page.close();
    // The browser logs every 401.
    browser.complaints.splice(
      0,
      Number.POSITIVE_INFINITY,
      ...browser.complaints.filter((it) => !isNetworkComplaint(it)),
    );
  } finally {
    await lockedProxy.stop();
    await locked.stop();
  }
});
