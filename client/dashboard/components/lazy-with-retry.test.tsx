// @vitest-environment happy-dom
import { MantineProvider } from '@mantine/core';
import { cleanup, render, screen } from '@testing-library/react';
import type { ComponentType, ReactNode } from 'react';
import { afterEach, expect, it, vi } from 'vitest';
import { ErrorIsland, lazyWithRetry } from './lazy-with-retry';

afterEach(cleanup);

const Broken = (): never => {
  throw new Error('the chart failed');
};

it('the fallback is shown until the code is loaded', async () => {
  let arrive = (_: { default: ComponentType<{ pipeline: string }> }) => {};
  const Part = lazyWithRetry<{ pipeline: string }>(
    () =>
      new Promise((resolve) => {
        arrive = resolve;
      }),
    'fallback',
  );
  render(<Part pipeline="wire" />, { wrapper: MantineProvider });
  expect(screen.getByText('fallback')).toBeDefined();
  arrive({ default: ({ pipeline }) => `trend of ${pipeline}` });
  expect(await screen.findByText('trend of wire')).toBeDefined();
});

it('an error stays within its island until the page changes', () => {
  // React logs the error.
  vi.spyOn(console, 'error').mockImplementation(() => {});
  const page = (resetKey: string, part: ReactNode) => (
    <>
      <h1>Alerts</h1>
      <ErrorIsland resetKey={resetKey}>{part}</ErrorIsland>
    </>
  );
  const { rerender } = render(page('#/alerts', <Broken />), { wrapper: MantineProvider });
  expect(screen.getByRole('heading', { name: 'Alerts' })).toBeDefined();
  expect(screen.getByText(/This part of the page failed to load/)).toBeDefined();
  rerender(page('#/', 'pipelines'));
  expect(screen.getByText('pipelines')).toBeDefined();
});
