import { Center, Loader, Title } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { useFeeds, useOverview } from '../src/react';
import { Overview } from './pages/overview';
import { Pipeline } from './pages/pipeline';
import { Empty } from './parts/empty';
import { Gone } from './parts/gone';
import { Header } from './parts/header';
import { Contained, fetchAhead, later } from './parts/later';
import { TokenForm } from './parts/token-form';
import { hrefs, parseRoute, useHash } from './router';

const Alerts = later(() => import('./pages/alerts'), <Waiting />);
const Source = later(() => import('./pages/source'), <Waiting />);

/** How long after the first data the rest of the code is fetched, in milliseconds. */
const AHEAD = 1_000;

/** A wall screen: nothing to press, everything larger. */
const isKiosk = new URLSearchParams(window.location.search).has('kiosk');

export function App() {
  const hash = useHash();
  const route = parseRoute(hash);
  const feeds = useFeeds();
  const overview = useOverview();
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);

  useEffect(() => {
    document.documentElement.toggleAttribute('data-kiosk', isKiosk);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page is shown with each change of the fragment
  useEffect(() => {
    // Who uses a keyboard or a screen reader goes on from the top of the new page.
    if (!isFirst.current) main.current?.focus();
    isFirst.current = false;
    window.scrollTo(0, 0);
  }, [hash]);

  const pipelines = overview.value;
  const isKnown = pipelines !== null;
  useEffect(() => {
    if (!isKnown) return;
    const timer = setTimeout(fetchAhead, AHEAD);
    return () => clearTimeout(timer);
  }, [isKnown]);
  const isEmpty = pipelines?.every((it) => it.totalSources === 0) ?? false;
  return (
    <div className="shell">
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      {!isKiosk && <Header route={route} pipelines={pipelines ?? []} />}
      <main ref={main} id="main" tabIndex={-1}>
        <Contained until={hash}>
          {overview.connection.error?.kind === 'refused' ? (
            <TokenForm retry={feeds.overview().refresh} />
          ) : route.page === 'pipeline' ? (
            <Pipeline key={route.pipeline} pipeline={route.pipeline} isKiosk={isKiosk} />
          ) : route.page === 'source' ? (
            <Source key={hash} pipeline={route.pipeline} source={route.source} />
          ) : route.page === 'alerts' ? (
            <Alerts overview={overview} />
          ) : route.page === 'unknown' ? (
            <>
              <Title order={1} size="h2">
                There is no such page
              </Title>
              <p>
                <a href={hrefs.overview}>All pipelines</a>
              </p>
            </>
          ) : pipelines === null ? (
            <Waiting />
          ) : (
            <>
              <Gone connection={overview.connection} receivedAt={overview.receivedAt} hasData />
              {isEmpty ? (
                <Empty />
              ) : (
                <Overview
                  {...overview}
                  pipelines={pipelines}
                  refresh={isKiosk ? undefined : feeds.overview().refresh}
                />
              )}
            </>
          )}
        </Contained>
      </main>
    </div>
  );
}

/** Stands for a page that has no data yet, or no code. */
function Waiting() {
  const { connection, receivedAt } = useOverview();
  return (
    <>
      <Gone connection={connection} receivedAt={receivedAt} hasData={false} />
      {connection.state !== 'disconnected' && (
        <Center mih={240}>
          <Loader color="gray" type="dots" aria-label="Loading" />
        </Center>
      )}
    </>
  );
}
