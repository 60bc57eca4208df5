import { gql, InMemoryCache } from '@apollo/client';
import { expect, it } from 'vitest';
import { fakeFeed } from '../../test/fake-feed';
import { status } from '../../test/status-fixture';
import type { PipelineStatus, PipelineSummary } from '../feed';
import { typePolicies, writeOverview, writeStatus } from './cache';

it('an ordinary query reads any part of the status that the feed wrote', () => {
  const cache = new InMemoryCache({ typePolicies });
  const fake = fakeFeed<PipelineStatus>();
  const stop = writeStatus(fake.feed, cache);
  fake.setValue(status({ revision: '1' }));
  const query = gql`{ pipelineStatus(pipeline: "news") { revision scrapingHealth { sources { source status } } alerts { id title } } }`;
  expect(cache.readQuery<any>({ query })?.pipelineStatus).toMatchObject({
    revision: '1',
    scrapingHealth: { sources: [{ source: 'punch' }, { source: 'vanguard' }] },
    alerts: [{ id: '1' }],
  });
  fake.setValue(status({ revision: '2' }));
  expect(cache.readQuery<any>({ query })?.pipelineStatus.revision).toBe('2');
  stop();
  fake.setValue(status({ revision: '3' }));
  expect(cache.readQuery<any>({ query })?.pipelineStatus.revision).toBe('2');
});

it('an older query response does not replace a newer status', () => {
  const cache = new InMemoryCache({ typePolicies });
  const fake = fakeFeed<PipelineStatus>();
  writeStatus(fake.feed, cache);
  fake.setValue(status({ revision: '10' }));
  const query = gql`{ pipelineStatus(pipeline: "news") { __typename revision timestamp overallStatus } }`;
  const answer = { __typename: 'PipelineStatus', timestamp: '2026-01-28T15:30:45Z', overallStatus: 'ERROR' };
  cache.writeQuery({ query, data: { pipelineStatus: { ...answer, revision: '9' } } });
  expect(cache.readQuery<any>({ query })?.pipelineStatus).toMatchObject({ revision: '10', overallStatus: 'HEALTHY' });
  cache.writeQuery({ query, data: { pipelineStatus: { ...answer, revision: '11' } } });
  expect(cache.readQuery<any>({ query })?.pipelineStatus).toMatchObject({ revision: '11', overallStatus: 'ERROR' });
});

it('a query without an argument reads the pipeline default', () => {
  const cache = new InMemoryCache({ typePolicies });
  const fake = fakeFeed<PipelineStatus>();
  writeStatus(fake.feed, cache);
  fake.setValue(status({ pipeline: 'default' }));
  expect(cache.readQuery<any>({ query: gql`{ pipelineStatus { pipeline } }` })?.pipelineStatus.pipeline).toBe(
    'default',
  );
});

it('the overview is written to the cache', () => {
  const cache = new InMemoryCache({ typePolicies });
  const fake = fakeFeed<readonly PipelineSummary[]>();
  writeOverview(fake.feed, cache);
  fake.setValue([
    {
      key: 'news',
      overallStatus: 'HEALTHY',
      revision: '1',
      timestamp: 'T',
      sourcesProcessed: 1,
      totalSources: 2,
      failedSources: 0,
      staleSources: 0,
      articlesCollected: 3,
      eventsExtracted: 2,
      dataQualityStatus: 'HEALTHY',
      openAlerts: 0,
    } satisfies PipelineSummary,
  ]);
  expect(cache.readQuery<any>({ query: gql`{ pipelines { key overallStatus } }` })?.pipelines).toMatchObject([
    { key: 'news' },
  ]);
});
