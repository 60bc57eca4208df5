import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findAxeViolations } from './support/axe';
import { Browser } from './support/browser';
import { FaultProxy } from './support/proxy';
import { PipewatchServer, type Run } from './support/server';

let server: PipewatchServer;
let proxy: FaultProxy;
let browser: Browser;
let pipelines = 0;

beforeAll(async () => {
  // A long interval, so that updates appear only because of reports.
  server = await PipewatchServer.start({ PIPEWATCH_INTERVAL: '10m' });
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

const GOOD: Run = {
  articles_collected: 12,
  events_extracted: 20,
  geocoding_attempts: 20,
  geocoding_successes: 19,
  validation_attempts: 20,
  validation_passes: 20,
};

function newPipeline(): string {
  pipelines += 1;
  return `e2e-${pipelines}`;
}
const health = (page: Page) => page.locator('main .title-row .health');
const stat = (page: Page, name: string) => page.locator('.stat', { hasText: name }).locator('.value');
const openPipeline = (pipeline: string) => browser.open(`${proxy.url}/#/pipelines/${pipeline}`);

describe('a pipeline', () => {
  it('shows a report before the next interval', async () => {
    const pipeline = newPipeline();
    await server.report(pipeline, GOOD);
    const page = await openPipeline(pipeline);
    await page.getByText('Real-time updates', { exact: true }).waitFor();
    expect(await stat(page, 'Articles').innerText()).toBe('12');
    const start = performance.now();
    await server.report(pipeline, { ...GOOD, source: 'vanguard', articles_collected: 30 });
    await stat(page, 'Articles').getByText('42', { exact: true }).waitFor();
    expect(performance.now() - start).toBeLessThan(4_000);
    await page.getByRole('link', { name: 'vanguard' }).waitFor();
  });

  it('shows each of the four states in words, title and icon', async () => {
    const pipeline = newPipeline();
    await server.report(pipeline, { articles_collected: 1 });
    const page = await openPipeline(pipeline);
    const icons = new Set<string | null>();
    const expectState = async (state: string) => {
      await page.waitForFunction((start) => document.title.startsWith(start), `${state} · ${pipeline}`);
      expect(await health(page).innerText()).toBe(state);
      icons.add(await page.locator('link[rel=icon]').getAttribute('href'));
    };
    await expectState('Healthy');
    await server.report(pipeline, { source: 'a', geocoding_attempts: 40, geocoding_successes: 28 });
    await expectState('Warning');
    await server.report(pipeline, { source: 'a', geocoding_attempts: 40, geocoding_successes: 2 });
    await expectState('Error');
    expect(icons.size).toBe(3);
    await page.goto(`${proxy.url}/#/pipelines/default`);
    await page.waitForFunction(() => document.title.startsWith('Pending · default'));
  });

  it('that does not exist shows how to report, and then its first report', async () => {
    const pipeline = newPipeline();
    const page = await openPipeline(pipeline);
    const command = page.locator('.empty-state pre').filter({ hasText: `/api/v1/ping/${pipeline}/` });
    // Runs the command that the page shows.
    const { stdout } = await promisify(execFile)('sh', ['-c', await command.innerText()]);
    expect(stdout).toContain(' 200 ');
    await stat(page, 'Rows').getByText('120', { exact: true }).waitFor();
    await page.getByText('Real-time updates', { exact: true }).waitFor();
  });

  it('that was removed shows that it was removed', async () => {
    const pipeline = newPipeline();
    await server.report(pipeline, GOOD);
    const page = await openPipeline(pipeline);
    await page.locator('.stat').first().waitFor();
    await server.graphql(`mutation { removePipeline(pipeline: "${pipeline}") }`);
    await page.getByText(`Pipeline “${pipeline}” was removed`).waitFor();
  });

  it('sorts and filters its sources by keyboard', async () => {
    const pipeline = newPipeline();
    const names = Array.from({ length: 12 }, (_, index) => `source-${String(index).padStart(2, '0')}`);
    await server.report(
      pipeline,
      ...names.map((source, index) => ({ ...GOOD, source, ...(index === 7 && { outcome: 'failed' as const }) })),
    );
    const page = await openPipeline(pipeline);
    const first = page.locator('.data-table tbody tr').first();
    await first.getByText('source-07').waitFor();
    const heading = page.getByRole('button', { name: 'Source', exact: true });
    await heading.focus();
    await page.keyboard.press('Enter');
    await first.getByText('source-00').waitFor();
    await page.keyboard.press('Enter');
    await first.getByText('source-11').waitFor();
    expect(await page.locator('th[aria-sort=descending]').innerText()).toContain('Source');
    await page.getByRole('textbox', { name: 'Filter sources' }).fill('03');
    await first.getByText('source-03').waitFor();
    expect(await page.locator('.data-table tbody tr').count()).toBe(1);
  });

  it('links to a source with its runs and their errors', async () => {
    const pipeline = newPipeline();
    await server.report(
      pipeline,
      { ...GOOD, source: 'x/y z' },
      { source: 'x/y z', outcome: 'failed', error: 'connection refused' },
    );
    const page = await openPipeline(pipeline);
    await page.getByRole('link', { name: 'x/y z' }).click();
    await page.getByText('connection refused').waitFor();
    await page.getByRole('heading', { name: 'x/y z' }).waitFor();
    await page.getByText('19 of 20').waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: pipeline }).waitFor();
  });

  it('refreshes with its button', async () => {
    const pipeline = newPipeline();
    await server.report(pipeline, GOOD);
    const page = await openPipeline(pipeline);
    await page.locator('.stat').first().waitFor();
    const polled = page.waitForResponse((response) => response.url().includes('query+PipelineStatus'));
    await page.getByRole('button', { name: 'Refresh' }).click();
    expect((await polled).status()).toBe(200);
  });

  it('shows the trend of its runs', async () => {
    const pipeline = newPipeline();
    const at = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
    await server.report(pipeline, ...[5, 65, 125].map((minutes) => ({ ...GOOD, timestamp: at(minutes) })));
    const page = await openPipeline(pipeline);
    await page.getByRole('img', { name: 'Rates over time. Latest: Geocoding 95.0 %, Validation 100.0 %' }).waitFor();
    await page.getByText('3 runs', { exact: true }).waitFor();
  });

  it('has an hourly and a daily history, as do its sources', async () => {
    const pipeline = newPipeline();
    const at = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
    await server.report(
      pipeline,
      { ...GOOD, timestamp: at(3) },
      { ...GOOD, timestamp: at(0), geocoding_successes: 15 },
    );
    const page = await openPipeline(pipeline);
    await page.getByRole('button', { name: '24 h' }).click();
    await page.getByRole('img', { name: 'Rates over time. Latest: Geocoding 75.0 %, Validation 100.0 %' }).waitFor();
    await page.getByRole('button', { name: '90 d' }).click();
    const volumes = page.getByRole('img', { name: /^Volumes over time\. Latest: Articles (12|24), Events (20|40)$/ });
    await volumes.waitFor();
    expect(await findAxeViolations(page)).toEqual([]);
    await page.getByRole('link', { name: 'punch' }).click();
    await page.getByRole('img', { name: 'Rates over time. Latest: Geocoding 75.0 %, Validation 100.0 %' }).waitFor();
    await server.report(pipeline, { ...GOOD, geocoding_successes: 5 });
    // 25 % if a new hour began between the two reports.
    await page.getByRole('img', { name: /Geocoding (50|25)\.0 %/ }).waitFor();
  });
});

describe('the overview', () => {
  it('lists pipelines live, the worst first', async () => {
    const [good, bad] = [newPipeline(), newPipeline()];
    await server.report(good, GOOD);
    const page = await browser.open(proxy.url);
    await page.getByRole('heading', { name: good }).waitFor();
    await server.report(bad, { ...GOOD, outcome: 'failed' });
    await page.getByRole('heading', { name: bad }).waitFor();
    // Checks a style of Mantine's own sheet, whose loss no other test would notice.
    expect(
      await page
        .locator('.pipeline-card')
        .first()
        .evaluate((card) => getComputedStyle(card).padding),
    ).toBe('16px');
    const names = await page.locator('.pipeline-card h2').allInnerTexts();
    expect(names.indexOf(bad)).toBeLessThan(names.indexOf(good));
    await page.getByRole('link', { name: bad }).last().click();
    await page.getByRole('heading', { name: bad, level: 1 }).waitFor();
  });

  it('has no controls in kiosk mode', async () => {
    const pipeline = newPipeline();
    await server.report(pipeline, GOOD, { ...GOOD, timestamp: new Date(Date.now() - 3_600_000).toISOString() });
    const page = await browser.open(`${proxy.url}/?kiosk#/pipelines/${pipeline}`);
    await page.locator('canvas').nth(1).waitFor();
    expect(await page.getByRole('button').filter({ visible: true }).count()).toBe(1);
    expect(await page.locator('header.topbar').count()).toBe(0);
  });
});

describe('every page', () => {
  it('fits the width of a phone', async () => {
    const pipeline = newPipeline();
    await server.report(pipeline, GOOD, { source: 'b', outcome: 'failed', error: 'no' });
    // More pipelines than fit into the header.
    for (let others = 0; others < 12; others += 1) await server.report(newPipeline(), GOOD);
    const page = await browser.context.newPage();
    await page.setViewportSize({ width: 360, height: 740 });
    for (const path of ['', `pipelines/${pipeline}`, `pipelines/${pipeline}/sources/b`, 'pipelines/none', 'alerts']) {
      await page.goto(`${proxy.url}/#/${path}`);
      await page.locator('main h1').first().waitFor();
      expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(360);
    }
  });

  it.each(['light', 'dark'] as const)('passes axe in %s mode', async (colorScheme) => {
    const pipeline = newPipeline();
    const at = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
    await server.report(pipeline, ...[5, 65, 125].map((minutes) => ({ ...GOOD, timestamp: at(minutes) })), {
      ...GOOD,
      source: 'b',
      outcome: 'failed',
      error: 'no',
    });
    const pages = [
      '/',
      `/#/pipelines/${pipeline}`,
      `/#/pipelines/${pipeline}/sources/b`,
      '/#/pipelines/none',
      '/#/alerts',
      '/#/nowhere',
      '/?kiosk#/',
      `/?kiosk#/pipelines/${pipeline}`,
    ];
    for (const path of pages) {
      const page = await browser.context.newPage();
      await page.emulateMedia({ colorScheme });
      await page.goto(proxy.url + path);
      await page.locator('main h1, main p').first().waitFor();
      if (path.endsWith(pipeline)) await page.locator('canvas').nth(1).waitFor();
      expect(await findAxeViolations(page), path).toEqual([]);
      for (const span of await page.getByRole('button', { name: /^(24 h|90 d)$/ }).all()) {
        await span.click();
        await page.locator('canvas').nth(1).waitFor();
        expect(await findAxeViolations(page), `${path} ${await span.innerText()}`).toEqual([]);
      }
      await page.close();
    }
  });
});

describe('GraphiQL', () => {
  it('opens when a browser navigates to /graphql', async () => {
    const page = await browser.open(`${proxy.url}/graphql`);
    await page.locator('.graphiql-query-editor .view-lines').waitFor();
    expect(new URL(page.url()).pathname).toBe('/graphiql');
  });

  it('has example tabs, documentation and a history', async () => {
    const page = await browser.open(`${proxy.url}/graphiql`);
    await page.locator('.graphiql-query-editor').getByText('pipelineStatusUpdates').waitFor();
    expect(await page.getByRole('tab').allInnerTexts()).toEqual(['Live', 'Pipelines', 'Failures', 'Report']);
    await page.getByRole('tab', { name: 'Pipelines' }).click();
    await page.locator('.graphiql-query-editor').getByText('sourcesProcessed').waitFor();
    await page.getByRole('button', { name: /Execute query/ }).click();
    await page.locator('.graphiql-response').getByText('"default"').first().waitFor();
    await page.getByRole('button', { name: 'Show History' }).click();
    await page.locator('.graphiql-history').getByText('Pipelines').first().waitFor();
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    const documentation = page.locator('.graphiql-doc-explorer');
    await documentation.getByText('Subscription', { exact: true }).click();
    await documentation.getByText('alertEvents').first().waitFor();
  });

  it('runs subscriptions over a WebSocket', async () => {
    await server.report('default', GOOD);
    const page = await browser.context.newPage();
    const socket = page.waitForEvent('websocket');
    await page.goto(`${proxy.url}/graphiql`);
    // The editor must have its text before it can be executed.
    await page.locator('.graphiql-query-editor').getByText('pipelineStatusUpdates').waitFor();
    await page.getByRole('button', { name: /Execute query/ }).click();
    const answer = page.locator('.graphiql-response');
    await answer.getByText('overallStatus').first().waitFor();
    expect(new URL((await socket).url()).pathname).toBe('/graphql');
    const before = await answer.innerText();
    await server.report('default', { ...GOOD, source: 'another' });
    await page.waitForFunction(
      (text) => (document.querySelector('.graphiql-response') as HTMLElement).innerText !== text,
      before,
    );
    await page.getByRole('button', { name: /Stop query/ }).click();
  });
});
