import { Center, Loader, Title } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { useFeeds, useOverview } from '../src/react';
import { EmptyState } from './components/empty-state';
import { Header } from './components/header';
import { ErrorIsland, lazyWithRetry, prefetchAll } from './components/lazy-with-retry';
import { OfflineBanner } from './components/offline-banner';
import { TokenForm } from './components/token-form';
import { useDocumentTitle } from './hooks/use-document-title';
import { Overview } from './pages/overview';
import { Pipeline } from './pages/pipeline';
import { hrefs, parseRoute, useHash } from './router';

const Alerts = lazyWithRetry(() => import('./pages/alerts'), <Loading />);
const Source = lazyWithRetry(() => import('./pages/source'), <Loading />);

/** From the first data to loading the remaining code, in milliseconds. */
const PREFETCH_DELAY = 1_000;

/** Wall display: read-only and larger. */
const isKiosk = new URLSearchParams(window.location.search).has('kiosk');

export function App() {
  const hash = useHash();
  const route = parseRoute(hash);
  const feeds = useFeeds();
  const overview = useOverview();
  const main = useRef<HTMLElement>(null);
  const isFirstPage = useRef(true);

  useEffect(() => {
    document.documentElement.toggleAttribute('data-kiosk', isKiosk);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: every change of the fragment shows another page
  useEffect(() => {
    // Keyboard and screen reader users continue at the top of the new page.
    if (!isFirstPage.current) main.current?.focus();
    isFirstPage.current = false;
    window.scrollTo(0, 0);
  }, [hash]);

  const pipelines = overview.value;
  const hasLoaded = pipelines !== null;
  useEffect(() => {
    if (!hasLoaded) return;
    const timer = setTimeout(prefetchAll, PREFETCH_DELAY);
    return () => clearTimeout(timer);
  }, [hasLoaded]);
  const isEmpty = pipelines?.every((it) => it.totalSources === 0) ?? false;
  return (
    <div className="shell">
      <button type="button" className="skip-link" onClick={() => main.current?.focus()}>
        Skip to main content
      </button>
      {!isKiosk && <Header route={route} pipelines={pipelines ?? []} />}
      <main ref={main} id="main" tabIndex={-1}>
        <ErrorIsland resetKey={hash}>
          {overview.connection.error?.kind === 'unauthorized' ? (
            <TokenForm retry={feeds.overview().refresh} />
          ) : route.page === 'pipeline' ? (
            <Pipeline key={route.pipeline} pipeline={route.pipeline} isKiosk={isKiosk} />
          ) : route.page === 'source' ? (
            <Source key={hash} pipeline={route.pipeline} source={route.source} />
          ) : route.page === 'alerts' ? (
            <Alerts overview={overview} />
          ) : route.page === 'unknown' ? (
            <NotFound />
          ) : pipelines === null ? (
            <Loading />
          ) : (
            <>
              <OfflineBanner connection={overview.connection} receivedAt={overview.receivedAt} hasData />
              {isEmpty ? (
                <EmptyState />
              ) : (
                <Overview
                  {...overview}
                  pipelines={pipelines}
                  refresh={isKiosk ? undefined : feeds.overview().refresh}
                />
              )}
            </>
          )}
        </ErrorIsland>
      </main>
    </div>
  );
}

function NotFound() {
  useDocumentTitle('Page not found', null, null);
  return (
    <>
      <Title order={1} size="h2">
        Page not found
      </Title>
      <p>
        <a href={hrefs.overview}>All pipelines</a>
      </p>
    </>
  );
}

/** Shown while a page's data or code is loading. */
function Loading() {
  const { connection, receivedAt } = useOverview();
  return (
    <>
      <OfflineBanner connection={connection} receivedAt={receivedAt} hasData={false} />
      {connection.state !== 'disconnected' && (
        <Center mih={240}>
          <Loader color="gray" type="dots" aria-label="Loading" />
        </Center>
      )}
    </>
  );
}
