// Generated from schema.graphql and operations.graphql by npm run codegen.
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** Where an alert stands. */
export type AlertState =
  /** Seen, and not yet for long enough. */
  | 'PENDING'
  /** Somebody should look. */
  | 'FIRING'
  /** Somebody looks. */
  | 'ACKNOWLEDGED'
  /** Over. */
  | 'RESOLVED';

/** What an alert is about. */
export type AlertType =
  /** A rate. */
  | 'QUALITY'
  /** A volume. */
  | 'VOLUME'
  /** A source that should have reported. */
  | 'SILENCE'
  /** Pipewatch itself. */
  | 'SERVER';

/** What is unusual. */
export type AnomalyType =
  /** How much came. */
  | 'VOLUME'
  /** How good it was. */
  | 'QUALITY';

/** How well something is. */
export type Health =
  /** Nothing, or too little, is known. */
  | 'PENDING'
  /** All is well. */
  | 'HEALTHY'
  /** Somebody should look today. */
  | 'WARNING'
  /** Somebody should look now. */
  | 'ERROR';

/** Where the data quality was taken from. */
export type QualityBasis =
  /** Metrics of the whole pipeline. */
  | 'AGGREGATE'
  /** Metrics of its sources. */
  | 'SOURCE_SPECIFIC'
  /** Sums of hours. */
  | 'HOURLY'
  /** The old pipeline's own output. */
  | 'CONFLICT_EVENTS'
  /** Nothing was counted. */
  | 'NONE';

/** How grave an anomaly or an alert is. */
export type Severity =
  /** Worth knowing. */
  | 'LOW'
  /** Worth a look today. */
  | 'MEDIUM'
  /** Worth waking somebody. */
  | 'HIGH';

/** Where a step stands. */
export type StepState =
  /** Not yet begun. */
  | 'PENDING'
  /** Begun and not yet ended. */
  | 'RUNNING'
  /** Ended well. */
  | 'OK'
  /** Ended in failure. */
  | 'FAILED'
  /** Left out. */
  | 'SKIPPED';

export type StatusFragment = { pipeline: string, revision: string, timestamp: string, overallStatus: Health, anomaliesOmitted: number, alertsOmitted: number, scrapingHealth: { status: Health, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, sourcesOmitted: number, sources: Array<{ source: string, status: Health, stale: boolean, successRate: number | null, runs: number, running: number, lastRun: string | null }> }, dataQuality: { status: Health, geocodingSuccessRate: number | null, validationPassRate: number | null, geocodingAttempts: number, geocodingSuccesses: number, validationAttempts: number, validationPasses: number, basis: QualityBasis, lastUpdated: string | null, checks: Array<{ name: string, status: Health, attempts: number, passes: number, rate: number | null }> }, steps: Array<{ name: string, state: StepState, sources: number, failed: number, itemsIn: number | null, itemsOut: number | null, startedAt: string | null, endedAt: string | null, durationSeconds: number | null }>, anomalies: Array<{ id: string, type: AnomalyType, severity: Severity, description: string, timestamp: string, source: string | null, check: string | null }>, alerts: Array<{ id: string, type: AlertType, severity: Severity, title: string, message: string, timestamp: string, state: AlertState, source: string | null }> };

export type PipelineStatusQueryVariables = Exact<{
  pipeline: string;
  all: boolean;
  sinceRevision?: string | null | undefined;
}>;


export type PipelineStatusQuery = { pipelineStatus: { pipeline: string, revision: string, timestamp: string, overallStatus: Health, anomaliesOmitted: number, alertsOmitted: number, scrapingHealth: { status: Health, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, sourcesOmitted: number, sources: Array<{ source: string, status: Health, stale: boolean, successRate: number | null, runs: number, running: number, lastRun: string | null }> }, dataQuality: { status: Health, geocodingSuccessRate: number | null, validationPassRate: number | null, geocodingAttempts: number, geocodingSuccesses: number, validationAttempts: number, validationPasses: number, basis: QualityBasis, lastUpdated: string | null, checks: Array<{ name: string, status: Health, attempts: number, passes: number, rate: number | null }> }, steps: Array<{ name: string, state: StepState, sources: number, failed: number, itemsIn: number | null, itemsOut: number | null, startedAt: string | null, endedAt: string | null, durationSeconds: number | null }>, anomalies: Array<{ id: string, type: AnomalyType, severity: Severity, description: string, timestamp: string, source: string | null, check: string | null }>, alerts: Array<{ id: string, type: AlertType, severity: Severity, title: string, message: string, timestamp: string, state: AlertState, source: string | null }> } };

export type PipelineStatusUpdatesSubscriptionVariables = Exact<{
  pipeline: string;
  all: boolean;
  sinceRevision?: string | null | undefined;
}>;


export type PipelineStatusUpdatesSubscription = { pipelineStatusUpdates: { pipeline: string, revision: string, timestamp: string, overallStatus: Health, anomaliesOmitted: number, alertsOmitted: number, scrapingHealth: { status: Health, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, sourcesOmitted: number, sources: Array<{ source: string, status: Health, stale: boolean, successRate: number | null, runs: number, running: number, lastRun: string | null }> }, dataQuality: { status: Health, geocodingSuccessRate: number | null, validationPassRate: number | null, geocodingAttempts: number, geocodingSuccesses: number, validationAttempts: number, validationPasses: number, basis: QualityBasis, lastUpdated: string | null, checks: Array<{ name: string, status: Health, attempts: number, passes: number, rate: number | null }> }, steps: Array<{ name: string, state: StepState, sources: number, failed: number, itemsIn: number | null, itemsOut: number | null, startedAt: string | null, endedAt: string | null, durationSeconds: number | null }>, anomalies: Array<{ id: string, type: AnomalyType, severity: Severity, description: string, timestamp: string, source: string | null, check: string | null }>, alerts: Array<{ id: string, type: AlertType, severity: Severity, title: string, message: string, timestamp: string, state: AlertState, source: string | null }> } };

export type SummaryFragment = { key: string, overallStatus: Health, revision: string, timestamp: string, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, dataQualityStatus: Health, openAlerts: number };

export type PipelinesQueryVariables = Exact<{ [key: string]: never; }>;


export type PipelinesQuery = { pipelines: Array<{ key: string, overallStatus: Health, revision: string, timestamp: string, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, dataQualityStatus: Health, openAlerts: number }> };

export type PipelinesUpdatesSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type PipelinesUpdatesSubscription = { pipelinesUpdates: Array<{ key: string, overallStatus: Health, revision: string, timestamp: string, sourcesProcessed: number, totalSources: number, failedSources: number, staleSources: number, articlesCollected: number, eventsExtracted: number, dataQualityStatus: Health, openAlerts: number }> };

