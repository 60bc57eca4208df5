import { ActionIcon, Group, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import type { PipelineSummary } from '../../src/feed';
import { hrefs, type Route } from '../router';
import { HealthBadge } from './health-badge';

export function Header({ route, pipelines }: { route: Route; pipelines: readonly PipelineSummary[] }) {
  const current = 'pipeline' in route ? route.pipeline : null;
  const nav = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the current pipeline changes or appears in the list
  useEffect(() => {
    // On a phone the list is wider than the screen, so the current pipeline may be out of view.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [current, pipelines.length]);
  return (
    <header className="topbar">
      <a href={hrefs.overview} className="brand">
        <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" className="line-icon">
          <path d="M2 12h4l3-7 5 14 3-7h5" />
        </svg>
        Pipewatch
      </a>
      <nav ref={nav} aria-label="Pipelines">
        <ul>
          {pipelines.map((it) => (
            <li key={it.key}>
              <a href={hrefs.pipeline(it.key)} aria-current={it.key === current ? 'page' : undefined}>
                <HealthBadge health={it.overallStatus} iconOnly /> {it.key}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Group gap="md" wrap="nowrap">
        <a href={hrefs.alerts} className="muted" aria-current={route.page === 'alerts' ? 'page' : undefined}>
          Alerts
        </a>
        <a href="/graphiql" className="muted">
          GraphiQL
        </a>
        <a href="/api/docs" className="muted">
          REST
        </a>
        <ColorSchemeToggle />
      </Group>
    </header>
  );
}

function ColorSchemeToggle() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light');
  const other = scheme === 'dark' ? 'light' : 'dark';
  return (
    <ActionIcon
      variant="default"
      size="lg"
      onClick={() => setColorScheme(other)}
      aria-label={`Switch to ${other} mode`}
      title={`Switch to ${other} mode`}
    >
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" className="line-icon">
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
