import { Anchor } from '@mantine/core';
import { type ComponentType, lazy, type ReactNode, Suspense } from 'react';
import { ErrorBoundary } from 'react-error-boundary';
import { loadChunk } from '../load-chunk';

type Load<Props> = () => Promise<{ default: ComponentType<Props> }>;

const registered: (() => Promise<unknown>)[] = [];

/** A component whose code is loaded on demand, with retries. Until then `fallback` is shown, also during an outage. */
export function lazyWithRetry<Props extends object>(
  load: Load<Props>,
  fallback: ReactNode = null,
): ComponentType<Props> {
  const Component = lazy(() => loadChunk(load));
  registered.push(load);
  return (props) => (
    <ErrorIsland>
      <Suspense fallback={fallback}>
        <Component {...props} />
      </Suspense>
    </ErrorIsland>
  );
}

/** Loads the code of all lazy components, so that every page opens even after the server went down. */
export function prefetchAll() {
  // A failure is harmless: the code is loaded again on demand.
  for (const load of registered) load().catch(() => {});
}

/** Keeps an error in its children from affecting the rest of the page, until `resetKey` changes. */
export function ErrorIsland({ children, resetKey }: { children: ReactNode; resetKey?: string }) {
  return (
    <ErrorBoundary FallbackComponent={LoadFailed} resetKeys={[resetKey]}>
      {children}
    </ErrorBoundary>
  );
}

function LoadFailed() {
  return (
    <p className="muted">
      This part of the page failed to load.{' '}
      <Anchor component="button" type="button" inherit onClick={() => window.location.reload()}>
        Reload page
      </Anchor>
    </p>
  );
}
