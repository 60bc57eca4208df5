/** The feed: a pipeline's newest status, by whatever way there is. No React, no Apollo. */

export type { AlertState, AlertType, AnomalyType, Health, QualityBasis, Severity, StepState } from '../generated/types';
export type { Connection, TransportName } from './connection';
export { createOverviewFeed, createStatusFeed, type StatusFeedOptions } from './create';
export type { Beside, Environment, Feed, FeedOptions, FeedSnapshot, TokenProvider } from './feed';
export { compare, type Versioned } from './newer';
export type { PipelineStatus, PipelineSummary } from './operation';
export type { Alert, Anomaly, CheckStatus, PipelineStep, SourceStatus } from './parts';
export { FeedError, type Problem, type ProblemKind } from './problem';
