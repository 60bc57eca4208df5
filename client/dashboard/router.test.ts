import { expect, it } from 'vitest';
import { hrefs, parseRoute } from './router';

it.each([
  ['', { page: 'overview' }],
  ['#/', { page: 'overview' }],
  ['#/pipelines/news', { page: 'pipeline', pipeline: 'news' }],
  [hrefs.source('news', 'a/b c%'), { page: 'source', pipeline: 'news', source: 'a/b c%' }],
  ['#/alerts', { page: 'alerts' }],
  ['#/pipelines/', { page: 'unknown' }],
  ['#/pipelines/news/sources', { page: 'unknown' }],
  ['#/pipelines/news/sources/', { page: 'unknown' }],
  ['#/else', { page: 'unknown' }],
  ['#/pipelines/%zz', { page: 'pipeline', pipeline: '%zz' }],
])('%s', (hash, route) => {
  expect(parseRoute(hash)).toEqual(route);
});
