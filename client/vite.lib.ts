import { defineConfig } from 'vite';

/** The entry points of the package. Peer dependencies are not bundled. */
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
