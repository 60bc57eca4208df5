import { Alert, Button } from '@mantine/core';
import type { Connection } from '../../src/feed';
import { useAge } from '../../src/react';
import { duration } from '../../src/react/words';

export interface GoneProps {
  connection: Connection;
  receivedAt: number | null;
  hasData: boolean;
  retry?: () => Promise<unknown>;
}

/** Says that the server is gone, and how old what is shown is. Nothing while all is well or a moment may mend it. */
export function Gone({ connection, receivedAt, hasData, retry }: GoneProps) {
  const age = useAge(receivedAt);
  const isOld = age !== null && age >= 10 && connection.state === 'reconnecting';
  if (connection.state !== 'disconnected' && !isOld) return null;
  return (
    <Alert color="red" variant="outline" className="gone" title="The server does not answer" role="alert">
      <p>
        {hasData && age !== null
          ? `What is shown is what was known ${duration(age)} ago. It will go on by itself when the server is back.`
          : 'Nothing is known yet. It will go on by itself when the server answers.'}
      </p>
      {connection.error && <p className="dim">{connection.error.message}</p>}
      {retry && (
        <Button size="xs" variant="default" onClick={() => void retry().catch(() => {})}>
          Try now
        </Button>
      )}
    </Alert>
  );
}
