import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const react18 = fileURLToPath(new URL('test/react18/node_modules/', import.meta.url));

const testingLibrary = fileURLToPath(
  new URL('node_modules/@testing-library/react/dist/@testing-library/react.esm.js', import.meta.url),
);

declare module 'vitest' {
  interface ProvidedContext {
    /** How the version of React begins that is tested. */
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
          include: ['src/**/*.test.{ts,tsx}', 'test/**/*.test.ts', 'dashboard/**/*.test.{ts,tsx}'],
          typecheck: { enabled: true, include: ['src/**/*.test-d.ts'] },
          // One copy of graphql for all: it refuses schemas of another.
          server: { deps: { inline: [/graphql/] } },
        },
      },
      {
        extends: true,
        resolve: {
          alias: [
            { find: /^(react(?:-dom)?)(?=\/|$)/, replacement: `${react18}$1` },
            // As modules, whose imports the line above is for; by default Node would load it and its own React.
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
