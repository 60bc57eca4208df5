import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { findAxeViolations } from './support/axe';
import { Browser } from './support/browser';
import { PipewatchServer, type Run } from './support/server';

let server: PipewatchServer;
let browser: Browser;
let pipelines = 0;

beforeAll(async () => {
  // A long interval, so that updates appear only because of reports.
  server = await PipewatchServer.start({ PIPEWATCH_INTERVAL: '10m' });
});
afterAll(() => server?.stop());
beforeEach(async () => {
  browser = await Browser.start();
});
afterEach(async () => {
  const { complaints } = browser;
  await browser.stop();
  expect(complaints, 'on the consoles').toEqual([]);
});

const LOAD: Run = {
  source: 'load',
  counts: { rows_loaded: 3_000_000_000, bytes: 81_234_567_890, cpu_seconds: 7_500 },
  checks: [{ name: 'not-null', attempts: 120, passes: 114 }],
  duration: 95.5,
};
const FAILED: Run = {
  source: 'load',
  id: 'scheduled__2026-01-01T00:00:00+00:00',
  outcome: 'failed',
  url: 'https://airflow.example.org/log?dag=billing&try=2',
  tags: ['nightly', 'team=billing'],
  attempt: 2,
  parent: 'manual__2026-01-01',
  error: 'Traceback (most recent call last):\n  File "load.py", line 3\nValueError: <b>no rows</b>',
  log: 'connecting\nconnected',
};

function newPipeline(): string {
  pipelines += 1;
  return `runs-${pipelines}`;
}
const stat = (page: Page, name: string) =>
  page
    .locator('.stat')
    .filter({ has: page.getByText(name, { exact: true }) })
    .locator('.value');
const openSource = (pipeline: string) => browser.open(`${server.url}/#/pipelines/${pipeline}/sources/load`);

it('a pipeline shows the sum of each count in its unit, live', async () => {
  const pipeline = newPipeline();
  await server.report(pipeline, LOAD);
  const page = await browser.open(`${server.url}/#/pipelines/${pipeline}`);
  await page.getByText('Real-time updates', { exact: true }).waitFor();
  for (const [name, value] of [
    ['Rows loaded', '3,000,000,000'],
    ['Bytes', '81.2 GB'],
    ['Cpu seconds', '2 h 5 min'],
  ] as const)
    expect(await stat(page, name).innerText()).toBe(value);
  await server.report(pipeline, { ...LOAD, counts: { rows_loaded: 1, exported: Number.MAX_SAFE_INTEGER } });
  await stat(page, 'Rows loaded').getByText('3,000,000,001', { exact: true }).waitFor();
  expect(await stat(page, 'Exported').innerText()).toBe('9,007,199,254,740,991');
});

it('a pipeline shows nothing of checks and counts that were never reported', async () => {
  const pipeline = newPipeline();
  await server.report(pipeline, LOAD);
  const page = await browser.open(`${server.url}/#/pipelines/${pipeline}`);
  await page.locator('.checks').getByText('114 of 120').waitFor();
  expect(await page.locator('.checks h3').allInnerTexts()).toEqual(['Not null']);
  for (const name of ['Articles', 'Events', 'Geocoding', 'Validation'])
    expect(await page.getByText(name).count(), name).toBe(0);
});

it('counts have charts of the last runs and of their history', async () => {
  const pipeline = newPipeline();
  const yesterday = new Date(Date.now() - 23 * 3_600_000).toISOString();
  await server.report(pipeline, { ...LOAD, timestamp: yesterday }, LOAD);
  const page = await browser.open(`${server.url}/#/pipelines/${pipeline}`);
  const chart = (name: string) => page.getByRole('img', { name });
  await chart('Bytes over time. Latest: Bytes 81.2 GB').waitFor();
  await page.getByRole('button', { name: '24 h' }).click();
  await chart('Rows loaded over time. Latest: Rows loaded 3,000,000,000').waitFor();
  await chart('Not null over time. Latest: Not null 95.0 %').waitFor();
  await page.getByRole('link', { name: 'load', exact: true }).click();
  await chart('Bytes over time. Latest: Bytes 81.2 GB').waitFor();
  await chart('Cpu seconds over time. Latest: Cpu seconds 2 h 5 min').waitFor();
});

it('a source shows id, link, tags, attempt, duration and counts of its runs', async () => {
  const pipeline = newPipeline();
  await server.report(pipeline, FAILED, LOAD);
  const page = await openSource(pipeline);
  const row = page.locator('.runs-table tr', { hasText: 'scheduled__2026-01-01T00:00:00+00:00' });
  await row.waitFor();
  const link = row.getByRole('link', { name: 'logs' });
  expect(await link.getAttribute('href')).toBe('https://airflow.example.org/log?dag=billing&try=2');
  expect(await link.getAttribute('rel')).toContain('noreferrer');
  for (const text of ['nightly', 'team=billing', 'manual__2026-01-01']) await row.getByText(text).waitFor();
  expect(await page.locator('.runs-table th').allInnerTexts()).toEqual([
    'Finished',
    'State',
    'Attempt',
    'Duration',
    'Bytes',
    'Cpu seconds',
    'Rows loaded',
    'Run',
  ]);
  expect((await row.locator('td').allInnerTexts()).slice(1, 4)).toEqual(['Failed', '2', '–']);
  const loaded = page.locator('.runs-table tr', { hasText: '81.2 GB' });
  expect((await loaded.locator('td').allInnerTexts()).slice(1, 7)).toEqual([
    'OK',
    '–',
    '1 min 35 s',
    '81.2 GB',
    '2 h 5 min',
    '3,000,000,000',
  ]);
});

it('errors and logs keep their line breaks, in a fixed font', async () => {
  const pipeline = newPipeline();
  await server.report(pipeline, FAILED);
  const page = await openSource(pipeline);
  const error = page.locator('.output.error');
  expect(await error.innerText()).toBe(FAILED.error);
  const style = await error.evaluate((element) => {
    const { fontFamily, whiteSpaceCollapse } = getComputedStyle(element);
    return { fontFamily, whiteSpaceCollapse };
  });
  expect(style.fontFamily).toContain('monospace');
  expect(style.whiteSpaceCollapse).toBe('preserve');
  await page.getByText('Log', { exact: true }).focus();
  await page.keyboard.press('Enter');
  const log = page.locator('details .output');
  await log.waitFor();
  expect(await log.innerText()).toBe(FAILED.log);
});

it.each(['light', 'dark'] as const)('runs with all fields pass axe and fit a phone in %s mode', async (colorScheme) => {
  const pipeline = newPipeline();
  const long = 'x'.repeat(250);
  const tags = Array.from({ length: 16 }, (_, index) => `${index}-${long}`.slice(0, 250));
  const counts = Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`count_${index}`, 2 ** 53 - 1]));
  await server.report(pipeline, FAILED, LOAD, {
    source: 'load',
    id: long,
    outcome: 'failed',
    error: `${long}\n`.repeat(60),
    log: long,
    tags,
    counts,
  });
  const page = await browser.context.newPage();
  await page.emulateMedia({ colorScheme });
  for (const width of [1_280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    for (const [path, selector] of [
      [`pipelines/${pipeline}`, '.stat'],
      [`pipelines/${pipeline}/sources/load`, '.output.error'],
    ] as const) {
      await page.goto(`${server.url}/#/${path}`);
      await page.locator(selector).first().waitFor();
      for (const details of await page.locator('details').all()) await details.locator('summary').click();
      expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(width);
      expect(await findAxeViolations(page), path).toEqual([]);
    }
  }
});
