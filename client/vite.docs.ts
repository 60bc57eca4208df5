import { defineConfig } from 'vite';

/** The REST API's documentation at /api/docs. All of its files are below /api/docs/assets/. */
export default defineConfig({
  root: 'docs',
  base: '/api/docs/',
  build: {
    outDir: '../dist/docs',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Swagger UI is large.
    chunkSizeWarningLimit: 2_000,
  },
});
