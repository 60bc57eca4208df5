import { Button, CopyButton, Title } from '@mantine/core';

function command(pipeline: string) {
  return `curl -i '${window.location.origin}/api/v1/source-runs?pipeline=${pipeline}' -H 'Content-Type: application/json' -d '{
  "source": "punch", "timestamp": "'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'",
  "articles_collected": 12, "events_extracted": 9,
  "geocoding_attempts": 9, "geocoding_successes": 8,
  "validation_attempts": 9, "validation_passes": 9}'`;
}

/** Nothing was reported yet: how to begin. */
export function Empty({
  pipeline = 'default',
  title = 'Nothing was reported yet',
}: {
  pipeline?: string;
  title?: string;
}) {
  const text = command(pipeline);
  return (
    <section className="empty">
      <Title order={1} size="h2">
        {title}
      </Title>
      <p>Pipelines report each run of each source. Send a first report, and it shows here at once:</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{text}</pre>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Button variant="default" onClick={copy}>
            {copied ? 'Copied' : 'Copy the command'}
          </Button>
        )}
      </CopyButton>
    </section>
  );
}
