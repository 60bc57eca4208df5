import { PipewatchProvider, useStatusFeed } from 'pipewatch-client/react';

function Status() {
  const { status, connection } = useStatusFeed({ pipeline: 'demo' });
  return <p>{status?.overallStatus ?? 'Loading'} ({connection.label})</p>;
}

export const App = () => <PipewatchProvider url="http://127.0.0.1:8000"><Status /></PipewatchProvider>;
