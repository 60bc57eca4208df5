import { defineConfig } from 'vite';

/** The package's entry points. What an application has itself, it is not given twice. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: 'dist/lib',
    target: 'es2022',
    sourcemap: true,
    minify: false,
    lib: {
      entry: { index: 'src/feed/index.ts', apollo: 'src/apollo/index.ts', react: 'src/react/index.ts' },
      formats: ['es'],
    },
    rolldownOptions: { external: [/^react/, /^@apollo/, /^graphql/] },
  },
});
