/** The tabs of a first visit. A test checks them against the schema. */
export const EXAMPLES = [
  {
    query: `# The newest status, then every new one.
subscription Live($pipeline: String! = "default") {
  pipelineStatusUpdates(pipeline: $pipeline) {
    revision
    timestamp
    overallStatus
    scrapingHealth {
      sourcesProcessed
      totalSources
    }
    dataQuality {
      geocodingSuccessRate
      validationPassRate
    }
  }
}
`,
  },
  {
    query: `# All pipelines, once.
query Pipelines {
  pipelines {
    key
    overallStatus
    sourcesProcessed
    totalSources
  }
}
`,
  },
  {
    query: `# The runs that failed, the last first.
query Failures($pipeline: String! = "default") {
  sourceRuns(pipeline: $pipeline, outcome: FAILED, first: 20) {
    nodes {
      source
      finishedAt
      error
    }
  }
}
`,
  },
  {
    query: `# Reports a run.
mutation Report {
  recordSourceRun(
    pipeline: "default"
    input: { source: "punch", timestamp: "${new Date().toISOString()}", articlesCollected: 12 }
  ) {
    results {
      status
      errors {
        field
        message
        expected
      }
    }
  }
}
`,
  },
];
