// @vitest-environment happy-dom
import { MantineProvider } from '@mantine/core';
import { cleanup, render, screen } from '@testing-library/react';
import type { ComponentType, ReactNode } from 'react';
import { afterEach, expect, it, vi } from 'vitest';
import { Contained, later } from './later';

afterEach(cleanup);

const Broken = (): never => {
  throw new Error('a chart that cannot be drawn');
};

it('stands for code that is on its way, and makes room for it', async () => {
  let arrive = (_: { default: ComponentType<{ of: string }> }) => {};
  const Part = later<{ of: string }>(
    () =>
      new Promise((resolve) => {
        arrive = resolve;
      }),
    'soon',
  );
  render(<Part of="wire" />, { wrapper: MantineProvider });
  expect(screen.getByText('soon')).toBeDefined();
  arrive({ default: ({ of }) => `trend of ${of}` });
  expect(await screen.findByText('trend of wire')).toBeDefined();
});

it('a part that fails takes nothing else with it, and is tried again on another page', () => {
  // React tells of it, and rightly.
  vi.spyOn(console, 'error').mockImplementation(() => {});
  const page = (until: string, part: ReactNode) => (
    <>
      <h1>Alerts</h1>
      <Contained until={until}>{part}</Contained>
    </>
  );
  const { rerender } = render(page('#/alerts', <Broken />), { wrapper: MantineProvider });
  expect(screen.getByRole('heading', { name: 'Alerts' })).toBeDefined();
  expect(screen.getByText(/This part of the page failed/)).toBeDefined();
  rerender(page('#/', 'all is well'));
  expect(screen.getByText('all is well')).toBeDefined();
});
