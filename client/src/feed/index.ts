/** Feeds that keep a pipeline's status up to date over any available transport. No React, no Apollo. */

export type { AlertState, AlertType, AnomalyType, Health, QualityBasis, Severity, StepState } from '../generated/types';
export { compare, type Versioned } from './compare';
export type { Connection, TransportName } from './connection';
export { createOverviewFeed, createStatusFeed, type StatusFeedOptions } from './create';
export type { Environment, Feed, FeedOptions, FeedSnapshot, SideSubscription, TokenProvider } from './feed';
export type { PipelineStatus, PipelineSummary } from './operation';
export { FeedError, type Problem, type ProblemKind } from './problem';
export type { Alert, Anomaly, CheckStatus, PipelineStep, SourceStatus } from './types';
