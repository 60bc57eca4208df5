// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, renderHook, screen } from '@testing-library/react';
import { type ReactNode, StrictMode, version } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, inject, it, vi } from 'vitest';
import { fakeFeed } from '../../test/fake-feed';
import { status } from '../../test/status-fixture';
import type { PipelineStatus, PipelineSummary } from '../feed';
import {
  createFeeds,
  type Feeds,
  PipelineMonitor,
  PipewatchProvider,
  useAge,
  useConnection,
  usePipelineStatus,
  useStatusFeed,
} from '.';

let fake: ReturnType<typeof fakeFeed<PipelineStatus>>;
let requested: (string | undefined)[];
let feeds: Feeds;

beforeEach(() => {
  fake = fakeFeed<PipelineStatus>();
  requested = [];
  feeds = {
    status({ pipeline }) {
      requested.push(pipeline);
      return fake.feed;
    },
    overview: () => fakeFeed<readonly PipelineSummary[]>().feed,
  };
});
afterEach(cleanup);

const wrapper = ({ children }: { children: ReactNode }) => (
  <StrictMode>
    <PipewatchProvider feeds={feeds}>{children}</PipewatchProvider>
  </StrictMode>
);

it('usePipelineStatus returns each status and listens only while mounted', () => {
  const { result, unmount } = renderHook(() => usePipelineStatus('news'), { wrapper });
  expect(result.current).toBeNull();
  expect(fake.listeners.size).toBe(1);
  act(() => fake.setValue(status({ revision: '1' })));
  expect(result.current?.revision).toBe('1');
  expect(new Set(requested)).toEqual(new Set(['news']));
  unmount();
  expect(fake.listeners.size).toBe(0);
});

it('useConnection does not render again when only the status changes', () => {
  let renderings = 0;
  const { result } = renderHook(
    () => {
      renderings += 1;
      return useConnection('news');
    },
    { wrapper: ({ children }) => <PipewatchProvider feeds={feeds}>{children}</PipewatchProvider> },
  );
  act(() => fake.setValue(status()));
  act(() => fake.setValue(status({ revision: '101' })));
  expect(renderings).toBe(1);
  act(() => fake.update({ connection: { state: 'websocket', label: 'Real-time updates', error: null } }));
  expect(result.current.label).toBe('Real-time updates');
});

it('refresh calls the feed', async () => {
  const { result } = renderHook(() => useStatusFeed(), { wrapper });
  await act(() => result.current.refresh());
  expect(fake.refreshes()).toBe(1);
});

it('useAge is updated every second', () => {
  vi.useFakeTimers({ now: 10_000 });
  const { result, unmount } = renderHook(() => useAge(4_000));
  expect(result.current).toBe(6);
  act(() => vi.advanceTimersByTime(3_000));
  expect(result.current).toBe(9);
  unmount();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

it('feeds are created once per pipeline and source list', () => {
  const made = createFeeds({ url: 'http://host', pipeline: 'news' });
  expect(made.status({})).toBe(made.status({ pipeline: 'news', sources: 'worst' }));
  expect(made.status({ sources: 'all' })).not.toBe(made.status({}));
  expect(made.overview()).toBe(made.overview());
});

it('the monitor shows the status and the connection, and dashes for missing values', () => {
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  expect(screen.getByText('Waiting for data…')).toBeTruthy();
  act(() => fake.setValue(status()));
  act(() => fake.update({ connection: { state: 'websocket', label: 'Real-time updates', error: null } }));
  expect(screen.getByRole('heading').textContent).toBe('news');
  expect(screen.getByRole('status').textContent).toBe('Real-time updates');
  expect(screen.getByText('87.5 %')).toBeTruthy();
  expect(screen.getByText('of 2')).toBeTruthy();
  const row = screen.getByText('vanguard').closest('tr');
  expect(row?.textContent).toBe('vanguardPending–never');
});

it('the monitor keeps the last status and shows the error when disconnected', () => {
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  act(() => fake.update({ value: status(), receivedAt: Date.now() - 90_000 }));
  const error = { kind: 'network', message: 'connection failed' } as const;
  act(() => fake.update({ connection: { state: 'disconnected', label: 'Disconnected', error } }));
  expect(screen.getByRole('status').textContent).toBe('Disconnected, data from 1 min ago');
  expect(screen.getByRole('alert').textContent).toBe('connection failed');
  expect(screen.getByText('punch')).toBeTruthy();
});

it('the refresh button refreshes and is enabled again', async () => {
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  const button = screen.getByRole('button', { name: 'Refresh' });
  await act(async () => {
    fireEvent.click(button);
  });
  expect([fake.refreshes(), (button as HTMLButtonElement).disabled]).toEqual([1, false]);
});

it('runs on the expected version of React', () => {
  expect(version.startsWith(inject('react'))).toBe(true);
});

it('renders on a server without connecting', () => {
  expect(renderToString(<PipelineMonitor pipeline="news" url="http://host" />)).toContain('Waiting for data…');
});
