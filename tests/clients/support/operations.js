/** The operations of the tests. */
export const STATUS = 'query ($pipeline: String!) { pipelineStatus(pipeline: $pipeline) { revision overallStatus } }';

export const UPDATES =
  'subscription ($pipeline: String!) { pipelineStatusUpdates(pipeline: $pipeline) { revision overallStatus } }';

export const RECORD = `mutation ($pipeline: String!, $timestamp: DateTime!) {
  recordSourceRun(pipeline: $pipeline, input: { source: "punch", timestamp: $timestamp }) {
    revisions { pipeline revision }
    results { status }
  }
}`;

/** Variables for RECORD. */
export function run(pipeline) {
  return { pipeline, timestamp: new Date().toISOString() };
}
