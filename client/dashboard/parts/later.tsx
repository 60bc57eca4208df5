import { Anchor } from '@mantine/core';
import { type ComponentType, lazy, type ReactNode, Suspense } from 'react';
import { ErrorBoundary } from 'react-error-boundary';
import { codeOf } from '../code';

type Load<Props> = () => Promise<{ default: ComponentType<Props> }>;

const all: (() => Promise<unknown>)[] = [];

/** A part of the page whose code comes after the first view. Until then, and through an outage, `waiting` stands in its place. */
export function later<Props extends object>(load: Load<Props>, waiting: ReactNode = null): ComponentType<Props> {
  const Part = lazy(() => codeOf(load));
  all.push(load);
  return (props) => (
    <Contained>
      <Suspense fallback={waiting}>
        <Part {...props} />
      </Suspense>
    </Contained>
  );
}

/** Fetches what comes later while the server is there, so that every page can be turned to when it is not. */
export function fetchAhead() {
  // Nothing hangs on it yet: what fails now is tried again when it is needed.
  for (const load of all) load().catch(() => {});
}

/** What fails within takes nothing else of the page with it. */
export function Contained({ children, until }: { children: ReactNode; until?: string }) {
  return (
    <ErrorBoundary FallbackComponent={Failed} resetKeys={[until]}>
      {children}
    </ErrorBoundary>
  );
}

function Failed() {
  return (
    <p className="dim">
      This part of the page failed.{' '}
      <Anchor component="button" type="button" inherit onClick={() => window.location.reload()}>
        Load the page again
      </Anchor>
    </p>
  );
}
