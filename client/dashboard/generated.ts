// Generated from schema.graphql and the operations beside it: npm run codegen.
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** What raises an alert. */
export type AlertRule =
  /** A check's rate is below its threshold. */
  | 'THRESHOLD'
  /** A source that should have reported did not. */
  | 'SILENCE'
  /** A source reports, and brings nothing. */
  | 'DEAD_FEED'
  /** The statistics find a rate or a volume unusual. */
  | 'ANOMALY'
  /** Pipewatch itself is in trouble. */
  | 'SERVER';

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

/** How long the stretches are whose sums are shown, in UTC. */
export type HistoryBucket =
  /** Hours. */
  | 'HOUR'
  /** Days. */
  | 'DAY';

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

/** How grave an anomaly or an alert is. */
export type Severity =
  /** Worth knowing. */
  | 'LOW'
  /** Worth a look today. */
  | 'MEDIUM'
  /** Worth waking somebody. */
  | 'HIGH';

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

export type AlertRowFragment = { id: string, rule: AlertRule, pipeline: string | null, source: string | null, check: string | null, state: AlertState, severity: Severity, title: string, message: string, startedAt: string, changedAt: string, acknowledgedBy: string | null, note: string | null };

export type AlertsQueryVariables = Exact<{ [key: string]: never; }>;


export type AlertsQuery = { open: { pageInfo: { hasNextPage: boolean }, nodes: Array<{ id: string, rule: AlertRule, pipeline: string | null, source: string | null, check: string | null, state: AlertState, severity: Severity, title: string, message: string, startedAt: string, changedAt: string, acknowledgedBy: string | null, note: string | null }> }, resolved: { nodes: Array<{ id: string, rule: AlertRule, pipeline: string | null, source: string | null, check: string | null, state: AlertState, severity: Severity, title: string, message: string, startedAt: string, changedAt: string, acknowledgedBy: string | null, note: string | null }> }, alertSilences: Array<{ id: string, rule: AlertRule | null, pipeline: string | null, source: string | null, label: string | null, until: string, author: string, reason: string }> };

export type AlertStepsSubscriptionVariables = Exact<{
  since?: string | null | undefined;
}>;


export type AlertStepsSubscription = { alertEvents: { id: string } };

export type AcknowledgeMutationVariables = Exact<{
  id: string;
  author: string;
  note?: string | null | undefined;
}>;


export type AcknowledgeMutation = { acknowledgeAlert: { id: string, rule: AlertRule, pipeline: string | null, source: string | null, check: string | null, state: AlertState, severity: Severity, title: string, message: string, startedAt: string, changedAt: string, acknowledgedBy: string | null, note: string | null } };

export type SilenceMutationVariables = Exact<{
  rule?: AlertRule | null | undefined;
  pipeline?: string | null | undefined;
  source?: string | null | undefined;
  until: string;
  author: string;
  reason: string;
}>;


export type SilenceMutation = { silenceAlerts: { id: string } };

export type EndSilenceMutationVariables = Exact<{
  id: string;
}>;


export type EndSilenceMutation = { endAlertSilence: boolean };

export type RatesFragment = { points: Array<{ start: string, rate: number | null }> };

export type VolumesFragment = { points: Array<{ start: string, total: number | null }> };

export type UnusualFragment = { id: string, severity: Severity, description: string, timestamp: string, source: string | null, series: string, pValue: number, alpha: number };

export type CheckHistoryQueryVariables = Exact<{
  pipeline: string;
  source?: string | null | undefined;
  check: string;
  from: string;
  to: string;
  bucket: HistoryBucket;
}>;


export type CheckHistoryQuery = { qualityHistory: { points: Array<{ start: string, rate: number | null }> } };

export type HistoryQueryVariables = Exact<{
  pipeline: string;
  source?: string | null | undefined;
  from: string;
  to: string;
  bucket: HistoryBucket;
}>;


export type HistoryQuery = { geocoding: { points: Array<{ start: string, rate: number | null }> }, validation: { points: Array<{ start: string, rate: number | null }> }, articles: { points: Array<{ start: string, total: number | null }> }, events: { points: Array<{ start: string, total: number | null }> }, anomalies: { pageInfo: { hasNextPage: boolean }, nodes: Array<{ id: string, severity: Severity, description: string, timestamp: string, source: string | null, series: string, pValue: number, alpha: number }> } };

// Generated from schema.graphql and the operations beside it: npm run codegen.
export const RecentRunsDocument = 'query RecentRuns($pipeline:String!$first:Int!){sourceRuns(pipeline:$pipeline first:$first){pageInfo{hasNextPage}nodes{id source state finishedAt articlesCollected eventsExtracted geocodingAttempts geocodingSuccesses validationAttempts validationPasses}}}';
export const RunsOfSourceDocument = 'query RunsOfSource($pipeline:String!$source:String!$first:Int!$after:String){sourceRuns(pipeline:$pipeline source:$source first:$first after:$after){pageInfo{hasNextPage endCursor}nodes{id state startedAt finishedAt backfill articlesCollected eventsExtracted geocodingAttempts geocodingSuccesses validationAttempts validationPasses error}}}';
export const AlertsDocument = 'query Alerts{open:alerts(states:[FIRING ACKNOWLEDGED PENDING]first:500){pageInfo{hasNextPage}nodes{...AlertRow}}resolved:alerts(states:[RESOLVED]first:50){nodes{...AlertRow}}alertSilences{id rule pipeline source label until author reason}}fragment AlertRow on AlertRecord{id rule pipeline source check state severity title message startedAt changedAt acknowledgedBy note}';
export const AlertStepsDocument = 'subscription AlertSteps($since:ID){alertEvents(since:$since){id}}';
export const AcknowledgeDocument = 'mutation Acknowledge($id:ID!$author:String!$note:String){acknowledgeAlert(id:$id author:$author note:$note){...AlertRow}}fragment AlertRow on AlertRecord{id rule pipeline source check state severity title message startedAt changedAt acknowledgedBy note}';
export const SilenceDocument = 'mutation Silence($rule:AlertRule$pipeline:String$source:String$until:DateTime!$author:String!$reason:String!){silenceAlerts(rule:$rule pipeline:$pipeline source:$source until:$until author:$author reason:$reason){id}}';
export const EndSilenceDocument = 'mutation EndSilence($id:ID!){endAlertSilence(id:$id)}';
export const CheckHistoryDocument = 'query CheckHistory($pipeline:String!$source:String$check:String!$from:DateTime!$to:DateTime!$bucket:HistoryBucket!){qualityHistory(pipeline:$pipeline source:$source check:$check from:$from to:$to bucket:$bucket){...Rates}}fragment Rates on QualityHistory{points{start rate}}';
export const HistoryDocument = 'query History($pipeline:String!$source:String$from:DateTime!$to:DateTime!$bucket:HistoryBucket!){geocoding:qualityHistory(pipeline:$pipeline source:$source check:"geocoding" from:$from to:$to bucket:$bucket){...Rates}validation:qualityHistory(pipeline:$pipeline source:$source check:"validation" from:$from to:$to bucket:$bucket){...Rates}articles:qualityHistory(pipeline:$pipeline source:$source check:"articles" from:$from to:$to bucket:$bucket){...Volumes}events:qualityHistory(pipeline:$pipeline source:$source check:"events" from:$from to:$to bucket:$bucket){...Volumes}anomalies(pipeline:$pipeline source:$source from:$from to:$to first:500){pageInfo{hasNextPage}nodes{...Unusual}}}fragment Rates on QualityHistory{points{start rate}}fragment Volumes on QualityHistory{points{start total}}fragment Unusual on Anomaly{id severity description timestamp source series pValue alpha}';
