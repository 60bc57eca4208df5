// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, renderHook, screen } from '@testing-library/react';
import { type ReactNode, StrictMode, version } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, inject, it, vi } from 'vitest';
import { playedFeed, status } from '../../test/samples';
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

let played: ReturnType<typeof playedFeed<PipelineStatus>>;
let asked: (string | undefined)[];
let feeds: Feeds;

beforeEach(() => {
  played = playedFeed<PipelineStatus>();
  asked = [];
  feeds = {
    status({ pipeline }) {
      asked.push(pipeline);
      return played.feed;
    },
    overview: () => playedFeed<readonly PipelineSummary[]>().feed,
  };
});
afterEach(cleanup);

const wrapper = ({ children }: { children: ReactNode }) => (
  <StrictMode>
    <PipewatchProvider feeds={feeds}>{children}</PipewatchProvider>
  </StrictMode>
);

it('a hook gives each status, and listens only while it is mounted', () => {
  const { result, unmount } = renderHook(() => usePipelineStatus('news'), { wrapper });
  expect(result.current).toBeNull();
  expect(played.listeners.size).toBe(1);
  act(() => played.put(status({ revision: '1' })));
  expect(result.current?.revision).toBe('1');
  expect(new Set(asked)).toEqual(new Set(['news']));
  unmount();
  expect(played.listeners.size).toBe(0);
});

it('who looks at the connection alone is not rendered for a status', () => {
  let renderings = 0;
  const { result } = renderHook(
    () => {
      renderings += 1;
      return useConnection('news');
    },
    { wrapper: ({ children }) => <PipewatchProvider feeds={feeds}>{children}</PipewatchProvider> },
  );
  act(() => played.put(status()));
  act(() => played.put(status({ revision: '101' })));
  expect(renderings).toBe(1);
  act(() => played.change({ connection: { state: 'websocket', label: 'Real-time updates', error: null } }));
  expect(result.current.label).toBe('Real-time updates');
});

it('refresh asks the feed', async () => {
  const { result } = renderHook(() => useStatusFeed(), { wrapper });
  await act(() => result.current.refresh());
  expect(played.refreshed()).toBe(1);
});

it('an age counts on', () => {
  vi.useFakeTimers({ now: 10_000 });
  const { result, unmount } = renderHook(() => useAge(4_000));
  expect(result.current).toBe(6);
  act(() => vi.advanceTimersByTime(3_000));
  expect(result.current).toBe(9);
  unmount();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

it('feeds are created once for a pipeline and a listing', () => {
  const made = createFeeds({ url: 'http://host', pipeline: 'news' });
  expect(made.status({})).toBe(made.status({ pipeline: 'news', sources: 'worst' }));
  expect(made.status({ sources: 'all' })).not.toBe(made.status({}));
  expect(made.overview()).toBe(made.overview());
});

it('the monitor shows the status, the connection, and nothing that it does not know', () => {
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  expect(screen.getByText('No status yet.')).toBeTruthy();
  act(() => played.put(status()));
  act(() => played.change({ connection: { state: 'websocket', label: 'Real-time updates', error: null } }));
  expect(screen.getByRole('heading').textContent).toBe('news');
  expect(screen.getByRole('status').textContent).toBe('Real-time updates');
  expect(screen.getByText('87.5 %')).toBeTruthy();
  expect(screen.getByText('of 2')).toBeTruthy();
  const row = screen.getByText('vanguard').closest('tr');
  expect(row?.textContent).toBe('vanguardPending–never');
});

it('the monitor keeps the last status and says why there is no newer', () => {
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  act(() => played.change({ value: status(), receivedAt: Date.now() - 90_000 }));
  const error = { kind: 'network', message: 'no connection' } as const;
  act(() => played.change({ connection: { state: 'disconnected', label: 'Disconnected', error } }));
  expect(screen.getByRole('status').textContent).toBe('Disconnected, as of 1 min ago');
  expect(screen.getByRole('alert').textContent).toBe('no connection');
  expect(screen.getByText('punch')).toBeTruthy();
});

it('the refresh button asks, and can be pressed again', async () => {
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  const button = screen.getByRole('button', { name: 'Refresh' });
  await act(async () => {
    fireEvent.click(button);
  });
  expect([played.refreshed(), (button as HTMLButtonElement).disabled]).toEqual([1, false]);
});

it('runs on the React that it is to', () => {
  expect(version.startsWith(inject('react'))).toBe(true);
});

it('renders on a server without connecting', () => {
  expect(renderToString(<PipelineMonitor pipeline="news" url="http://host" />)).toContain('No status yet.');
});
