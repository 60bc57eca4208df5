// Generated from schema.graphql and operations.graphql by npm run codegen.
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** The state of an alert in its life cycle. */
export type AlertState =
  /** The condition holds, but has not held for long enough to fire. */
  | 'PENDING'
  /** The condition holds and needs attention. */
  | 'FIRING'
  /** The alert fires and a user has acknowledged it. */
  | 'ACKNOWLEDGED'
  /** The condition has cleared. */
  | 'RESOLVED';

/** The subject of an alert. */
export type AlertType =
  /** The rate of a data quality check. */
  | 'QUALITY'
  /** The number of articles or events. */
  | 'VOLUME'
  /** A source that has not reported in time. */
  | 'OVERDUE'
  /** The Pipewatch server or its database. */
  | 'SERVER';

/** The quantity that an anomaly was found in. */
export type AnomalyType =
  /** The number of articles or events. */
  | 'VOLUME'
  /** The rate of a data quality check. */
  | 'QUALITY';

/** The health of a pipeline or of one of its parts. */
export type Health =
  /** There is no data, or too little to decide. */
  | 'PENDING'
  /** Everything works as expected. */
  | 'HEALTHY'
  /** There is a problem that needs attention soon. */
  | 'WARNING'
  /** There is a problem that needs attention now. */
  | 'ERROR';

/** The rows that the data quality is computed from. */
export type QualityBasis =
  /** Metrics of the whole pipeline. */
  | 'AGGREGATE'
  /** Source runs and metrics of single sources. */
  | 'SOURCE_SPECIFIC'
  /** Hourly totals, as they were reported. */
  | 'HOURLY'
  /** Rows of the table `conflict_events`, which the old pipeline writes. */
  | 'CONFLICT_EVENTS'
  /** There are no counts in the window. */
  | 'NONE';

/** The severity of an anomaly or an alert. */
export type Severity =
  /** The problem is for information only. */
  | 'LOW'
  /** The problem should be looked into today. */
  | 'MEDIUM'
  /** The problem needs immediate attention. */
  | 'HIGH';

/** The state of a step of a run. */
export type StepState =
  /** The step has not started yet. */
  | 'PENDING'
  /** The step has started and not ended. */
  | 'RUNNING'
  /** The step has completed successfully. */
  | 'OK'
  /** The step has ended with an error. */
  | 'FAILED'
  /** The step was left out of its run. */
  | 'SKIPPED';

export type StatusFragment = { pipeline: string, revision: string, timestamp: string, overallStatus: Health, anomaliesOmitted: number, alertsOmitted: number, scrapingHealth: { status: Health, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, sourcesOmitted: number, counts: Array<{ name: string, value: number }>, sources: Array<{ source: string, status: Health, stale: boolean, successRate: number | null, runs: number, running: number, lastRun: string | null }> }, dataQuality: { status: Health, geocodingSuccessRate: number | null, validationPassRate: number | null, geocodingAttempts: number, geocodingSuccesses: number, validationAttempts: number, validationPasses: number, basis: QualityBasis, lastUpdated: string | null, checks: Array<{ name: string, status: Health, attempts: number, passes: number, rate: number | null }> }, steps: Array<{ name: string, state: StepState, sources: number, failed: number, itemsIn: number | null, itemsOut: number | null, startedAt: string | null, endedAt: string | null, durationSeconds: number | null }>, anomalies: Array<{ id: string, type: AnomalyType, severity: Severity, description: string, timestamp: string, source: string | null, check: string | null }>, alerts: Array<{ id: string, type: AlertType, severity: Severity, title: string, message: string, timestamp: string, state: AlertState, source: string | null }> };

export type PipelineStatusQueryVariables = Exact<{
  pipeline: string;
  all: boolean;
  sinceRevision?: string | null | undefined;
}>;


export type PipelineStatusQuery = { pipelineStatus: { pipeline: string, revision: string, timestamp: string, overallStatus: Health, anomaliesOmitted: number, alertsOmitted: number, scrapingHealth: { status: Health, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, sourcesOmitted: number, counts: Array<{ name: string, value: number }>, sources: Array<{ source: string, status: Health, stale: boolean, successRate: number | null, runs: number, running: number, lastRun: string | null }> }, dataQuality: { status: Health, geocodingSuccessRate: number | null, validationPassRate: number | null, geocodingAttempts: number, geocodingSuccesses: number, validationAttempts: number, validationPasses: number, basis: QualityBasis, lastUpdated: string | null, checks: Array<{ name: string, status: Health, attempts: number, passes: number, rate: number | null }> }, steps: Array<{ name: string, state: StepState, sources: number, failed: number, itemsIn: number | null, itemsOut: number | null, startedAt: string | null, endedAt: string | null, durationSeconds: number | null }>, anomalies: Array<{ id: string, type: AnomalyType, severity: Severity, description: string, timestamp: string, source: string | null, check: string | null }>, alerts: Array<{ id: string, type: AlertType, severity: Severity, title: string, message: string, timestamp: string, state: AlertState, source: string | null }> } };

export type PipelineStatusUpdatesSubscriptionVariables = Exact<{
  pipeline: string;
  all: boolean;
  sinceRevision?: string | null | undefined;
}>;


export type PipelineStatusUpdatesSubscription = { pipelineStatusUpdates: { pipeline: string, revision: string, timestamp: string, overallStatus: Health, anomaliesOmitted: number, alertsOmitted: number, scrapingHealth: { status: Health, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, sourcesOmitted: number, counts: Array<{ name: string, value: number }>, sources: Array<{ source: string, status: Health, stale: boolean, successRate: number | null, runs: number, running: number, lastRun: string | null }> }, dataQuality: { status: Health, geocodingSuccessRate: number | null, validationPassRate: number | null, geocodingAttempts: number, geocodingSuccesses: number, validationAttempts: number, validationPasses: number, basis: QualityBasis, lastUpdated: string | null, checks: Array<{ name: string, status: Health, attempts: number, passes: number, rate: number | null }> }, steps: Array<{ name: string, state: StepState, sources: number, failed: number, itemsIn: number | null, itemsOut: number | null, startedAt: string | null, endedAt: string | null, durationSeconds: number | null }>, anomalies: Array<{ id: string, type: AnomalyType, severity: Severity, description: string, timestamp: string, source: string | null, check: string | null }>, alerts: Array<{ id: string, type: AlertType, severity: Severity, title: string, message: string, timestamp: string, state: AlertState, source: string | null }> } };

export type SummaryFragment = { key: string, overallStatus: Health, revision: string, timestamp: string, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, dataQualityStatus: Health, openAlerts: number };

export type PipelinesQueryVariables = Exact<{ [key: string]: never; }>;


export type PipelinesQuery = { pipelines: Array<{ key: string, overallStatus: Health, revision: string, timestamp: string, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, dataQualityStatus: Health, openAlerts: number }> };

export type PipelinesUpdatesSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type PipelinesUpdatesSubscription = { pipelinesUpdates: Array<{ key: string, overallStatus: Health, revision: string, timestamp: string, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, dataQualityStatus: Health, openAlerts: number }> };

