// @vitest-environment happy-dom
import { act, cleanup, renderHook } from '@testing-library/react';
import { version } from 'react';
import { afterEach, expect, inject, it, vi } from 'vitest';
import { fakeFeeds } from '../../test/fake-feeds';
import { status } from '../../test/status-fixture';
import { useAge, useConnection, usePipelineStatus, useStatusFeed } from './hooks';
import { PipewatchProvider } from './provider';

afterEach(cleanup);

it('usePipelineStatus returns each status and listens only while mounted', () => {
  const { fake, requested, wrapper } = fakeFeeds();
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
  const { fake, feeds } = fakeFeeds();
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
  const { fake, wrapper } = fakeFeeds();
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

it('runs on the expected version of React', () => {
  expect(version.startsWith(inject('react'))).toBe(true);
});
