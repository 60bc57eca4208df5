import { expectTypeOf, it } from 'vitest';
import {
  type Connection,
  createStatusFeed,
  type Feed,
  type FeedSnapshot,
  type Health,
  type PipelineStatus,
} from '../feed';
import { type PipelineMonitor, type StatusFeed, useConnection, usePipelineStatus, useStatusFeed } from '.';

it('public types', () => {
  expectTypeOf(createStatusFeed).returns.toEqualTypeOf<Feed<PipelineStatus>>();
  expectTypeOf(createStatusFeed).toBeCallableWith();
  expectTypeOf(createStatusFeed).toBeCallableWith({
    url: 'http://x',
    pipeline: 'a',
    token: async () => 'b',
    api: 'rest',
  });
  expectTypeOf<FeedSnapshot<number>['value']>().toEqualTypeOf<number | null>();
  expectTypeOf<PipelineStatus['overallStatus']>().toEqualTypeOf<Health>();
  expectTypeOf<PipelineStatus['dataQuality']['geocodingSuccessRate']>().toEqualTypeOf<number | null>();
  expectTypeOf<PipelineStatus['revision']>().toEqualTypeOf<string>();
  expectTypeOf(useStatusFeed).returns.toEqualTypeOf<StatusFeed>();
  expectTypeOf(usePipelineStatus).returns.toEqualTypeOf<PipelineStatus | null>();
  expectTypeOf(useConnection).returns.toEqualTypeOf<Connection>();
  expectTypeOf<Connection['state']>().toEqualTypeOf<
    'websocket' | 'sse' | 'polling' | 'reconnecting' | 'disconnected'
  >();
  expectTypeOf<typeof PipelineMonitor>().toBeCallableWith({ pipeline: 'a' });
});

it('invalid arguments are type errors', () => {
  // @ts-expect-error an unknown API
  createStatusFeed({ api: 'xml' });
  // @ts-expect-error a pipeline key is a string
  usePipelineStatus(1);
});
