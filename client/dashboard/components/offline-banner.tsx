import { Alert, Button } from '@mantine/core';
import type { Connection } from '../../src/feed';
import { useAge } from '../../src/react';
import { formatDuration } from '../../src/react/format';

interface OfflineBannerProps {
  connection: Connection;
  receivedAt: number | null;
  hasData: boolean;
  retry?: () => Promise<unknown>;
}

/** From this age on, data is worth a warning while the feed reconnects, in seconds. */
const STALE_AFTER = 10;

/** Warns that the connection is lost and how old the data is. Short interruptions show nothing. */
export function OfflineBanner({ connection, receivedAt, hasData, retry }: OfflineBannerProps) {
  const age = useAge(receivedAt);
  const isStale = age !== null && age >= STALE_AFTER && connection.state === 'reconnecting';
  if (connection.state !== 'disconnected' && !isStale) return null;
  return (
    <Alert color="red" variant="outline" className="offline-banner" title="Connection lost" role="alert">
      <p>
        {hasData && age !== null
          ? `Showing data from ${formatDuration(age)} ago. Reconnecting automatically.`
          : 'No data yet. Reconnecting automatically.'}
      </p>
      {connection.error && <p className="muted">Last error: {connection.error.message}</p>}
      {retry && (
        <Button size="xs" variant="default" onClick={() => void retry().catch(() => {})}>
          Retry now
        </Button>
      )}
    </Alert>
  );
}
