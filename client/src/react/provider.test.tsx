import { expect, it } from 'vitest';
import { createFeeds } from './provider';

it('feeds are created once per pipeline and source list', () => {
  const made = createFeeds({ url: 'http://host', pipeline: 'news' });
  expect(made.status({})).toBe(made.status({ pipeline: 'news', sources: 'worst' }));
  expect(made.status({ sources: 'all' })).not.toBe(made.status({}));
  expect(made.overview()).toBe(made.overview());
});
