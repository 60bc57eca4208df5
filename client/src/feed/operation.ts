import {
  PipelineStatusDocument,
  PipelineStatusUpdatesDocument,
  PipelinesDocument,
  PipelinesUpdatesDocument,
} from '../generated/documents';
import type { StatusFragment, SummaryFragment } from '../generated/types';
import { compare } from './newer';

/** The status of a pipeline at an instant. */
export type PipelineStatus = StatusFragment;
/** A pipeline in the overview of all. */
export type PipelineSummary = SummaryFragment;

/** What is watched: the same by every transport. */
export interface Operation<T> {
  /** Tells it apart from others of the same server. */
  readonly key: string;
  readonly query: string;
  readonly subscription: string;
  readonly variables: Record<string, unknown>;
  /** The value in the `data` of an answer of either. */
  pick(data: Record<string, unknown>): T;
  /** Above 0 when `a` is newer than `b`. */
  compare(a: T, b: T): number;
  /** The same value by the plain routes, where there are some. */
  readonly plain?: {
    /** Of which the stream is `/stream`. */
    readonly path: string;
    readonly socket: string;
    read(json: unknown): T;
    /** A value that is still the newest at a later instant. */
    at(value: T, timestamp: string): T;
  };
}

/** The status of one pipeline. */
export function statusOf(pipeline: string, all: boolean): Operation<PipelineStatus> {
  return {
    key: `${pipeline}${all ? '?all' : ''}`,
    query: PipelineStatusDocument,
    subscription: PipelineStatusUpdatesDocument,
    variables: { pipeline, all },
    pick: (data) => (data.pipelineStatus ?? data.pipelineStatusUpdates) as PipelineStatus,
    compare,
  };
}

/** All pipelines. A list is newer when any pipeline in it is, unless another in it is older. */
export const overview: Operation<readonly PipelineSummary[]> = {
  key: '*',
  query: PipelinesDocument,
  subscription: PipelinesUpdatesDocument,
  variables: {},
  pick: (data) => (data.pipelines ?? data.pipelinesUpdates) as readonly PipelineSummary[],
  compare: (a, b) => {
    const old = new Map(b.map((it) => [it.key, it]));
    const signs = a.flatMap((it) => {
      const other = old.get(it.key);
      return other ? [compare(it, other)] : [];
    });
    return signs.some((sign) => sign < 0) ? -1 : 1;
  },
};
