/** The default tabs. */
export const EXAMPLES = [
  {
    query: `# The current status, then every update.
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
    query: `# Failed runs, the newest first.
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
    input: { source: "load", counts: [{ name: "rows", value: 120 }], duration: 12.5 }
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
