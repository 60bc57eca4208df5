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

it('the public types', () => {
  expectTypeOf(createStatusFeed).returns.toEqualTypeOf<Feed<PipelineStatus>>();
  expectTypeOf(createStatusFeed).toBeCallableWith();
  expectTypeOf(createStatusFeed).toBeCallableWith({
    url: 'http://x',
    pipeline: 'a',
    token: async () => 'b',
    format: 'plain',
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

it('what is wrong is refused', () => {
  // @ts-expect-error there is no such format
  createStatusFeed({ format: 'xml' });
  // @ts-expect-error a pipeline is named by text
  usePipelineStatus(1);
});
