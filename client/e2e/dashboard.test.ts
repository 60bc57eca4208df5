import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { violationsOf } from './axe';
import { Browser } from './browser';
import { PipewatchServer, type Run } from './server';
import { Site } from './site';

let server: PipewatchServer;
let site: Site;
let browser: Browser;
let pipelines = 0;

beforeAll(async () => {
  // So long that whatever is shown is shown because of a report.
  server = await PipewatchServer.start({ PIPEWATCH_INTERVAL: '10m' });
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

const GOOD: Run = {
  articles_collected: 12,
  events_extracted: 20,
  geocoding_attempts: 20,
  geocoding_successes: 19,
  validation_attempts: 20,
  validation_passes: 20,
};

function fresh(): string {
  pipelines += 1;
  return `e2e-${pipelines}`;
}
const health = (page: Page) => page.locator('main .name .health');
const figure = (page: Page, name: string) => page.locator('.figure', { hasText: name }).locator('.value');
const show = (pipeline: string) => browser.open(`${site.url}/#/pipelines/${pipeline}`);

describe('a pipeline', () => {
  it('shows a report within a second', async () => {
    const pipeline = fresh();
    await server.report(pipeline, GOOD);
    const page = await show(pipeline);
    await page.getByText('Real-time updates', { exact: true }).waitFor();
    expect(await figure(page, 'Articles').innerText()).toBe('12');
    const start = performance.now();
    await server.report(pipeline, { ...GOOD, source: 'vanguard', articles_collected: 30 });
    await figure(page, 'Articles').getByText('42', { exact: true }).waitFor();
    expect(performance.now() - start).toBeLessThan(1_000);
    await page.getByRole('link', { name: 'vanguard' }).waitFor();
  });

  it('shows each of the four states in words, title and icon', async () => {
    const pipeline = fresh();
    await server.report(pipeline, { articles_collected: 1 });
    const page = await show(pipeline);
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
    await page.goto(`${site.url}/#/pipelines/default`);
    await page.waitForFunction(() => document.title.startsWith('Pending · default'));
  });

  it('that is not there shows how to report, and then its first report', async () => {
    const pipeline = fresh();
    const page = await show(pipeline);
    const command = page.locator('.empty pre').filter({ hasText: `/api/v1/source-runs?pipeline=${pipeline}` });
    // As somebody would who reads it.
    const { stdout } = await promisify(execFile)('sh', ['-c', await command.innerText()]);
    expect(stdout).toContain(' 201 ');
    await figure(page, 'Articles').getByText('12', { exact: true }).waitFor();
    await page.getByText('Real-time updates', { exact: true }).waitFor();
  });

  it('that is removed is said to be gone', async () => {
    const pipeline = fresh();
    await server.report(pipeline, GOOD);
    const page = await show(pipeline);
    await page.locator('.figure').first().waitFor();
    await server.graphql(`mutation { removePipeline(pipeline: "${pipeline}") }`);
    await page.getByText(`There is no pipeline “${pipeline}” any more`).waitFor();
  });

  it('sorts and filters its sources, by keyboard too', async () => {
    const pipeline = fresh();
    const names = Array.from({ length: 12 }, (_, index) => `source-${String(index).padStart(2, '0')}`);
    await server.report(
      pipeline,
      ...names.map((source, index) => ({ ...GOOD, source, ...(index === 7 && { outcome: 'failed' as const }) })),
    );
    const page = await show(pipeline);
    const first = page.locator('.sources tbody tr').first();
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
    expect(await page.locator('.sources tbody tr').count()).toBe(1);
  });

  it('leads to a source with its runs and their errors', async () => {
    const pipeline = fresh();
    await server.report(
      pipeline,
      { ...GOOD, source: 'x/y z' },
      { source: 'x/y z', outcome: 'failed', error: 'the door was locked' },
    );
    const page = await show(pipeline);
    await page.getByRole('link', { name: 'x/y z' }).click();
    await page.getByText('the door was locked').waitFor();
    await page.getByRole('heading', { name: 'x/y z' }).waitFor();
    await page.getByText('19 of 20').waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: pipeline }).waitFor();
  });

  it('is refreshed by its button', async () => {
    const pipeline = fresh();
    await server.report(pipeline, GOOD);
    const page = await show(pipeline);
    await page.locator('.figure').first().waitFor();
    const polled = page.waitForResponse((response) => response.url().includes('query+PipelineStatus'));
    await page.getByRole('button', { name: 'Refresh' }).click();
    expect((await polled).status()).toBe(200);
  });

  it('draws its trend of real runs', async () => {
    const pipeline = fresh();
    const at = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
    await server.report(pipeline, ...[5, 65, 125].map((minutes) => ({ ...GOOD, timestamp: at(minutes) })));
    const page = await show(pipeline);
    await page.getByRole('img', { name: 'Rates over time. Last, Geocoding: 95.0 %, Validation: 100.0 %' }).waitFor();
    await page.getByText('3 runs', { exact: true }).waitFor();
  });

  it('has a history by the hour and by the day, and so has a source', async () => {
    const pipeline = fresh();
    const at = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
    await server.report(
      pipeline,
      { ...GOOD, timestamp: at(3) },
      { ...GOOD, timestamp: at(0), geocoding_successes: 15 },
    );
    const page = await show(pipeline);
    await page.getByRole('button', { name: '24 h' }).click();
    await page.getByRole('img', { name: 'Rates over time. Last, Geocoding: 75.0 %, Validation: 100.0 %' }).waitFor();
    await page.getByRole('button', { name: '90 d' }).click();
    const volumes = page.getByRole('img', { name: /^Volumes over time\. Last, Articles: (12|24), Events: (20|40)$/ });
    await volumes.waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await page.getByRole('link', { name: 'punch' }).click();
    await page.getByRole('img', { name: 'Rates over time. Last, Geocoding: 75.0 %, Validation: 100.0 %' }).waitFor();
    await server.report(pipeline, { ...GOOD, geocoding_successes: 5 });
    // Of both reports, unless an hour has begun between them.
    await page.getByRole('img', { name: /Geocoding: (50|25)\.0 %/ }).waitFor();
  });
});

describe('the overview', () => {
  it('lists the pipelines live, the worst first', async () => {
    const [good, bad] = [fresh(), fresh()];
    await server.report(good, GOOD);
    const page = await browser.open(site.url);
    await page.getByRole('heading', { name: good }).waitFor();
    await server.report(bad, { ...GOOD, outcome: 'failed' });
    await page.getByRole('heading', { name: bad }).waitFor();
    // A component's own style: its sheet is easily lost, and nothing else would tell.
    expect(
      await page
        .locator('.card')
        .first()
        .evaluate((card) => getComputedStyle(card).padding),
    ).toBe('16px');
    const names = await page.locator('.card h2').allInnerTexts();
    expect(names.indexOf(bad)).toBeLessThan(names.indexOf(good));
    await page.getByRole('link', { name: bad }).last().click();
    await page.getByRole('heading', { name: bad, level: 1 }).waitFor();
  });

  it('on a wall has nothing to press', async () => {
    const pipeline = fresh();
    await server.report(pipeline, GOOD, { ...GOOD, timestamp: new Date(Date.now() - 3_600_000).toISOString() });
    const page = await browser.open(`${site.url}/?kiosk#/pipelines/${pipeline}`);
    await page.locator('canvas').nth(1).waitFor();
    expect(await page.getByRole('button').filter({ visible: true }).count()).toBe(1);
    expect(await page.locator('header.top').count()).toBe(0);
  });
});

describe('for everybody', () => {
  it('nothing is wider than a phone', async () => {
    const pipeline = fresh();
    await server.report(pipeline, GOOD, { source: 'b', outcome: 'failed', error: 'no' });
    // More pipelines than fit side by side.
    for (let others = 0; others < 12; others += 1) await server.report(fresh(), GOOD);
    const page = await browser.context.newPage();
    await page.setViewportSize({ width: 360, height: 740 });
    for (const path of ['', `pipelines/${pipeline}`, `pipelines/${pipeline}/sources/b`, 'pipelines/none', 'alerts']) {
      await page.goto(`${site.url}/#/${path}`);
      await page.locator('main h1').first().waitFor();
      expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(360);
    }
  });

  it.each(['light', 'dark'] as const)('axe finds nothing in %s colours', async (colorScheme) => {
    const pipeline = fresh();
    const at = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
    await server.report(pipeline, ...[5, 65, 125].map((minutes) => ({ ...GOOD, timestamp: at(minutes) })), {
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
      await page.goto(site.url + path);
      await page.locator('main h1, main p').first().waitFor();
      if (path.endsWith(pipeline)) await page.locator('canvas').nth(1).waitFor();
      expect(await violationsOf(page), path).toEqual([]);
      for (const span of await page.getByRole('button', { name: /^(24 h|90 d)$/ }).all()) {
        await span.click();
        await page.locator('canvas').nth(1).waitFor();
        expect(await violationsOf(page), `${path} ${await span.innerText()}`).toEqual([]);
      }
      await page.close();
    }
  });
});

describe('GraphiQL', () => {
  it('is where a browser that opens /graphql is led', async () => {
    const page = await browser.open(`${site.url}/graphql`);
    await page.locator('.graphiql-query-editor .view-lines').waitFor();
    expect(new URL(page.url()).pathname).toBe('/graphiql');
  });

  it('has examples in tabs, the documentation, and a history of what was run', async () => {
    const page = await browser.open(`${site.url}/graphiql`);
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
    await documentation.getByText('The steps of alerts, of one pipeline or of all').waitFor();
  });

  it('runs the subscription live, over a WebSocket', async () => {
    await server.report('default', GOOD);
    const page = await browser.context.newPage();
    const socket = page.waitForEvent('websocket');
    await page.goto(`${site.url}/graphiql`);
    // Until the editor has its text there is nothing to execute.
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
