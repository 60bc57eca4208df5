import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.{ts,tsx}', 'test/**/*.test.ts', 'dashboard/**/*.test.{ts,tsx}'],
    typecheck: { enabled: true, include: ['src/**/*.test-d.ts'] },
    // One copy of graphql for all: it refuses schemas of another.
    server: { deps: { inline: [/graphql/] } },
    restoreMocks: true,
  },
});
