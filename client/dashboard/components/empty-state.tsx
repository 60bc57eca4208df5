import { Button, CopyButton, Title } from '@mantine/core';

function reportCommand(pipeline: string) {
  return `curl -i '${window.location.origin}/api/v1/ping/${encodeURIComponent(pipeline)}/load?counts.rows=120'`;
}

/** Explains how to send a first report. */
export function EmptyState({ pipeline = 'default', title = 'No data yet' }: { pipeline?: string; title?: string }) {
  const command = reportCommand(pipeline);
  return (
    <section className="empty-state">
      <Title order={1} size="h2">
        {title}
      </Title>
      <p>Pipelines report every run of every source. Send a first report to see it here at once:</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable element must be reachable by keyboard */}
      <pre tabIndex={0}>{command}</pre>
      <CopyButton value={command}>
        {({ copied, copy }) => (
          <Button variant="default" onClick={copy}>
            {copied ? 'Copied' : 'Copy command'}
          </Button>
        )}
      </CopyButton>
    </section>
  );
}
