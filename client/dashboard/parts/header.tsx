import { ActionIcon, Group, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import type { PipelineSummary } from '../../src/feed';
import { hrefs, type Route } from '../router';
import { HealthMark } from './health';

export function Header({ route, pipelines }: { route: Route; pipelines: readonly PipelineSummary[] }) {
  const current = 'pipeline' in route ? route.pipeline : null;
  const nav = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the current one is another, or is only now in the list
  useEffect(() => {
    // On a phone the list is wider than the screen.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [current, pipelines.length]);
  return (
    <header className="top">
      <a href={hrefs.overview} className="brand">
        <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" className="stroke">
          <path d="M2 12h4l3-7 5 14 3-7h5" />
        </svg>
        Pipewatch
      </a>
      <nav ref={nav} aria-label="Pipelines">
        <ul>
          {pipelines.map((it) => (
            <li key={it.key}>
              <a href={hrefs.pipeline(it.key)} aria-current={it.key === current ? 'page' : undefined}>
                <HealthMark health={it.overallStatus} isWordless /> {it.key}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Group gap="md" wrap="nowrap">
        <a href={hrefs.alerts} className="dim" aria-current={route.page === 'alerts' ? 'page' : undefined}>
          Alerts
        </a>
        <a href="/graphiql" className="dim">
          GraphiQL
        </a>
        <ColorScheme />
      </Group>
    </header>
  );
}

function ColorScheme() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light');
  const other = scheme === 'dark' ? 'light' : 'dark';
  return (
    <ActionIcon
      variant="default"
      size="lg"
      onClick={() => setColorScheme(other)}
      aria-label={`Switch to ${other} colours`}
    >
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" className="stroke">
        <path
          d={
            scheme === 'dark'
              ? 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1'
              : 'M13.500 9.500A6 6 0 0 1 6.500 2.500a6 6 0 1 0 7 7z'
          }
        />
      </svg>
    </ActionIcon>
  );
}
