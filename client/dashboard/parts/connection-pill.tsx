import { ActionIcon, Group } from '@mantine/core';
import { useState } from 'react';
import { type Connection, FeedError } from '../../src/feed';
import { useAge } from '../../src/react';
import { duration } from '../../src/react/words';

export interface ConnectionPillProps {
  connection: Connection;
  receivedAt: number | null;
  refresh?: (() => Promise<unknown>) | undefined;
}

/** How the data comes, and how old it is. */
export function ConnectionPill({ connection, receivedAt, refresh }: ConnectionPillProps) {
  const [isRefreshing, setRefreshing] = useState(false);
  const onRefresh = async () => {
    setRefreshing(true);
    try {
      await refresh?.();
    } catch (error) {
      // The pill and the page say what is wrong.
      if (!(error instanceof FeedError)) throw error;
    } finally {
      setRefreshing(false);
    }
  };
  return (
    <Group gap="xs" wrap="nowrap">
      <span className="pill" data-state={connection.state}>
        <span className="dot" aria-hidden="true" />
        <span role="status">{connection.label}</span>
        <Age receivedAt={receivedAt} />
      </span>
      {refresh && (
        <ActionIcon variant="default" size="lg" onClick={onRefresh} loading={isRefreshing} aria-label="Refresh">
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" className="stroke">
            <path d="M13 8a5 5 0 1 1-1.6-3.7M13 2.5V5h-2.5" />
          </svg>
        </ActionIcon>
      )}
    </Group>
  );
}

/** Apart, since it is rendered every second. */
function Age({ receivedAt }: { receivedAt: number | null }) {
  const age = useAge(receivedAt);
  if (age === null) return null;
  return <span className="dim figures">{age < 2 ? 'now' : `${duration(age)} ago`}</span>;
}
