import { defineConfig } from 'vitest/config';

/** Tests in a real browser against the real server. `npm run screenshots` runs e2e/screenshots.ts. */
export default defineConfig({
  test: {
    include: process.env.SCREENSHOTS ? ['e2e/screenshots.ts'] : ['e2e/**/*.test.ts'],
    testTimeout: process.env.SCREENSHOTS ? 300_000 : 120_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
