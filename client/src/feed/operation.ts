import {
  PipelineStatusDocument,
  PipelineStatusUpdatesDocument,
  PipelinesDocument,
  PipelinesUpdatesDocument,
} from '../generated/documents';
import type { StatusFragment, SummaryFragment } from '../generated/types';
import { compare } from './compare';

/** The status of a pipeline at one moment. */
export type PipelineStatus = StatusFragment;
/** One pipeline in the overview of all pipelines. */
export type PipelineSummary = SummaryFragment;

/** What a feed loads, independent of the transport. */
export interface Operation<T> {
  /** Unique among the operations of one server. */
  readonly key: string;
  readonly query: string;
  /** The GraphQL document of the subscription; over REST, the URL of the stream. */
  readonly subscription: string;
  /** The variables of query and subscription. With `newest`, the newest value shown, the server sends nothing older. */
  variables(newest: T | null): Record<string, unknown>;
  /** The value in the `data` of a response to either document. */
  extract(data: Record<string, unknown>): T;
  /** Above 0 when `a` is newer than `b`. */
  compare(a: T, b: T): number;
}

export function statusOperation(pipeline: string, all: boolean): Operation<PipelineStatus> {
  return {
    key: `${pipeline}${all ? '?all' : ''}`,
    query: PipelineStatusDocument,
    subscription: PipelineStatusUpdatesDocument,
    variables: (newest) => ({ pipeline, all, sinceRevision: newest?.revision ?? null }),
    extract: (data) => (data.pipelineStatus ?? data.pipelineStatusUpdates) as PipelineStatus,
    compare,
  };
}

/** All pipelines. A list is newer unless any pipeline in it is older. */
export const overviewOperation: Operation<readonly PipelineSummary[]> = {
  key: '*',
  query: PipelinesDocument,
  subscription: PipelinesUpdatesDocument,
  variables: () => ({}),
  extract: (data) => (data.pipelines ?? data.pipelinesUpdates) as readonly PipelineSummary[],
  compare: (a, b) => {
    const previous = new Map(b.map((it) => [it.key, it]));
    const isOlder = a.some((it) => {
      const before = previous.get(it.key);
      return before !== undefined && compare(it, before) < 0;
    });
    return isOlder ? -1 : 1;
  },
};
