// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { renderToString } from 'react-dom/server';
import { afterEach, expect, it } from 'vitest';
import { fakeFeeds } from '../../test/fake-feeds';
import { status } from '../../test/status-fixture';
import { PipelineMonitor } from './monitor';

afterEach(cleanup);

it('shows the status and the connection, and dashes for missing values', () => {
  const { fake, wrapper } = fakeFeeds();
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  expect(screen.getByText('Waiting for data…')).toBeTruthy();
  act(() => fake.setValue(status()));
  act(() => fake.update({ connection: { state: 'websocket', label: 'Real-time updates', error: null } }));
  expect(screen.getByRole('heading').textContent).toBe('news');
  expect(screen.getByRole('status').textContent).toBe('Real-time updates');
  expect(screen.getByText('87.5 %')).toBeTruthy();
  expect(screen.getByText('of 2')).toBeTruthy();
  expect(screen.getByText('81.2 GB')).toBeTruthy();
  expect(screen.queryByText('Validation')).toBeNull();
  const row = screen.getByText('vanguard').closest('tr');
  expect(row?.textContent).toBe('vanguardPending–never');
});

it('keeps the last status and shows the error when disconnected', () => {
  const { fake, wrapper } = fakeFeeds();
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  act(() => fake.update({ value: status(), receivedAt: Date.now() - 90_000 }));
  const error = { kind: 'network', message: 'connection failed' } as const;
  act(() => fake.update({ connection: { state: 'disconnected', label: 'Disconnected', error } }));
  expect(screen.getByRole('status').textContent).toBe('Disconnected, data from 1 min ago');
  expect(screen.getByRole('alert').textContent).toBe('connection failed');
  expect(screen.getByText('punch')).toBeTruthy();
});

it('the refresh button refreshes and is enabled again', async () => {
  const { fake, wrapper } = fakeFeeds();
  render(<PipelineMonitor pipeline="news" />, { wrapper });
  const button = screen.getByRole('button', { name: 'Refresh' });
  await act(async () => {
    fireEvent.click(button);
  });
  expect([fake.refreshes(), (button as HTMLButtonElement).disabled]).toEqual([1, false]);
});

it('renders on a server without connecting', () => {
  expect(renderToString(<PipelineMonitor pipeline="news" url="http://host" />)).toContain('Waiting for data…');
});
