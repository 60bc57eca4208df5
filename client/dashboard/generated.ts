// Generated from schema.graphql and the operations beside it: npm run codegen.
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** Where a run stands. */
export type RunState =
  /** Begun and not yet ended. */
  | 'RUNNING'
  /** Ended well. */
  | 'OK'
  /** Ended in failure. */
  | 'FAILED'
  /** Stopped. */
  | 'ABORTED'
  /** Begun, and never heard of again. */
  | 'LOST';

export type RecentRunsQueryVariables = Exact<{
  pipeline: string;
  first: number;
}>;


export type RecentRunsQuery = { sourceRuns: { pageInfo: { hasNextPage: boolean }, nodes: Array<{ id: string, source: string, state: RunState, finishedAt: string | null, articlesCollected: number | null, eventsExtracted: number | null, geocodingAttempts: number | null, geocodingSuccesses: number | null, validationAttempts: number | null, validationPasses: number | null }> } };

export type RunsOfSourceQueryVariables = Exact<{
  pipeline: string;
  source: string;
  first: number;
  after?: string | null | undefined;
}>;


export type RunsOfSourceQuery = { sourceRuns: { pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, state: RunState, startedAt: string | null, finishedAt: string | null, backfill: boolean, articlesCollected: number | null, eventsExtracted: number | null, geocodingAttempts: number | null, geocodingSuccesses: number | null, validationAttempts: number | null, validationPasses: number | null, error: string | null }> } };

// Generated from schema.graphql and the operations beside it: npm run codegen.
export const RecentRunsDocument = 'query RecentRuns($pipeline:String!$first:Int!){sourceRuns(pipeline:$pipeline first:$first){pageInfo{hasNextPage}nodes{id source state finishedAt articlesCollected eventsExtracted geocodingAttempts geocodingSuccesses validationAttempts validationPasses}}}';
export const RunsOfSourceDocument = 'query RunsOfSource($pipeline:String!$source:String!$first:Int!$after:String){sourceRuns(pipeline:$pipeline source:$source first:$first after:$after){pageInfo{hasNextPage endCursor}nodes{id state startedAt finishedAt backfill articlesCollected eventsExtracted geocodingAttempts geocodingSuccesses validationAttempts validationPasses error}}}';
