import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const react18 = fileURLToPath(new URL('test/react18/node_modules/', import.meta.url));

const testingLibrary = fileURLToPath(
  new URL('node_modules/@testing-library/react/dist/@testing-library/react.esm.js', import.meta.url),
);

declare module 'vitest' {
  interface ProvidedContext {
    /** The prefix of the tested React version. */
    react: string;
  }
}

export default defineConfig({
  test: {
    restoreMocks: true,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          provide: { react: '19.' },
          include: ['{src,dashboard,graphiql,scripts}/**/*.test.{ts,tsx}'],
          typecheck: { enabled: true, include: ['src/**/*.test-d.ts'] },
          // graphql rejects schemas from another copy of itself, so all tests share one.
          server: { deps: { inline: [/graphql/] } },
        },
      },
      {
        extends: true,
        resolve: {
          alias: [
            { find: /^(react(?:-dom)?)(?=\/|$)/, replacement: `${react18}$1` },
            // Loaded as ES modules, so that the alias above applies to its imports of React.
            { find: /^@testing-library\/react$/, replacement: testingLibrary },
          ],
        },
        test: {
          name: 'react 18',
          provide: { react: '18.' },
          include: ['src/react/**/*.test.tsx'],
          server: { deps: { inline: [/@testing-library/] } },
        },
      },
    ],
  },
});
