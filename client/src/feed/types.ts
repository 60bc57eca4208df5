import type { PipelineStatus } from './operation';

/** An open alert of a pipeline. */
export type Alert = PipelineStatus['alerts'][number];
/** A value that the statistics find unusual. */
export type Anomaly = PipelineStatus['anomalies'][number];
/** The status of one source in the window. */
export type SourceStatus = PipelineStatus['scrapingHealth']['sources'][number];
/** The result of one quality check in the window. */
export type CheckStatus = PipelineStatus['dataQuality']['checks'][number];
/** A step of the last cycle, all sources together. */
export type PipelineStep = PipelineStatus['steps'][number];
