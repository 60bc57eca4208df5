import type { PipelineStatus } from './operation';

/** Something that somebody should be told. */
export type Alert = PipelineStatus['alerts'][number];
/** Something that the statistics find unusual. */
export type Anomaly = PipelineStatus['anomalies'][number];
/** How one source does. */
export type SourceStatus = PipelineStatus['scrapingHealth']['sources'][number];
/** How one check does. */
export type CheckStatus = PipelineStatus['dataQuality']['checks'][number];
/** A step of the last cycle, all sources together. */
export type PipelineStep = PipelineStatus['steps'][number];
