import { gql, InMemoryCache } from '@apollo/client';
import { expect, it } from 'vitest';
import { playedFeed, status } from '../../test/samples';
import type { PipelineStatus, PipelineSummary } from '../feed';
import { typePolicies, writeOverview, writeStatus } from '.';

it('an ordinary query reads what the feed wrote, whatever part it asks for', () => {
  const cache = new InMemoryCache({ typePolicies });
  const played = playedFeed<PipelineStatus>();
  const stop = writeStatus(played.feed, cache);
  played.put(status({ revision: '1' }));
  const query = gql`{ pipelineStatus(pipeline: "news") { revision scrapingHealth { sources { source status } } alerts { id title } } }`;
  expect(cache.readQuery<any>({ query })?.pipelineStatus).toMatchObject({
    revision: '1',
    scrapingHealth: { sources: [{ source: 'punch' }, { source: 'vanguard' }] },
    alerts: [{ id: '1' }],
  });
  played.put(status({ revision: '2' }));
  expect(cache.readQuery<any>({ query })?.pipelineStatus.revision).toBe('2');
  stop();
  played.put(status({ revision: '3' }));
  expect(cache.readQuery<any>({ query })?.pipelineStatus.revision).toBe('2');
});

it('the answer of a query that was older does not replace a newer status', () => {
  const cache = new InMemoryCache({ typePolicies });
  const played = playedFeed<PipelineStatus>();
  writeStatus(played.feed, cache);
  played.put(status({ revision: '10' }));
  const query = gql`{ pipelineStatus(pipeline: "news") { __typename revision timestamp overallStatus } }`;
  const answer = { __typename: 'PipelineStatus', timestamp: '2026-01-28T15:30:45Z', overallStatus: 'ERROR' };
  cache.writeQuery({ query, data: { pipelineStatus: { ...answer, revision: '9' } } });
  expect(cache.readQuery<any>({ query })?.pipelineStatus).toMatchObject({ revision: '10', overallStatus: 'HEALTHY' });
  cache.writeQuery({ query, data: { pipelineStatus: { ...answer, revision: '11' } } });
  expect(cache.readQuery<any>({ query })?.pipelineStatus).toMatchObject({ revision: '11', overallStatus: 'ERROR' });
});

it('without an argument it is the pipeline default', () => {
  const cache = new InMemoryCache({ typePolicies });
  const played = playedFeed<PipelineStatus>();
  writeStatus(played.feed, cache);
  played.put(status({ pipeline: 'default' }));
  expect(cache.readQuery<any>({ query: gql`{ pipelineStatus { pipeline } }` })?.pipelineStatus.pipeline).toBe(
    'default',
  );
});

it('the overview is written too', () => {
  const cache = new InMemoryCache({ typePolicies });
  const played = playedFeed<readonly PipelineSummary[]>();
  writeOverview(played.feed, cache);
  played.put([
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
