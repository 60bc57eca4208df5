import { ActionIcon, Group } from '@mantine/core';
import { useState } from 'react';
import { type Connection, FeedError } from '../../src/feed';
import { useAge } from '../../src/react';
import { formatDuration } from '../../src/react/format';

interface ConnectionStatusProps {
  connection: Connection;
  receivedAt: number | null;
  refresh?: (() => Promise<unknown>) | undefined;
}

/** The state of the connection, the age of the data and a refresh button. */
export function ConnectionStatus({ connection, receivedAt, refresh }: ConnectionStatusProps) {
  const [isRefreshing, setRefreshing] = useState(false);
  const onRefresh = async () => {
    setRefreshing(true);
    try {
      await refresh?.();
    } catch (error) {
      // The feed reports its own errors as the state of the connection.
      if (!(error instanceof FeedError)) throw error;
    } finally {
      setRefreshing(false);
    }
  };
  return (
    <Group gap="xs" wrap="nowrap">
      <span className="connection-status" data-state={connection.state}>
        <span className="dot" aria-hidden="true" />
        <span role="status">{connection.label}</span>
        <Age receivedAt={receivedAt} />
      </span>
      {refresh && (
        <ActionIcon
          variant="default"
          size="lg"
          onClick={onRefresh}
          loading={isRefreshing}
          aria-label="Refresh"
          title="Refresh"
        >
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" className="line-icon">
            <path d="M13 8a5 5 0 1 1-1.6-3.7M13 2.5V5h-2.5" />
          </svg>
        </ActionIcon>
      )}
    </Group>
  );
}

/** A component of its own, since it renders every second. */
function Age({ receivedAt }: { receivedAt: number | null }) {
  const age = useAge(receivedAt);
  if (age === null) return null;
  return <span className="muted numeric">{age < 2 ? 'now' : `${formatDuration(age)} ago`}</span>;
}
