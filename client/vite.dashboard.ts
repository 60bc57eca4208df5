import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const SERVER = process.env.PIPEWATCH_URL ?? 'http://127.0.0.1:8000';
const routes = ['/graphql', '/api', '/badge', '/metrics'];

/** The dashboard that the server embeds: index.html, and immutable hashed files below /assets/. */
export default defineConfig({
  root: 'dashboard',
  plugins: [react()],
  build: {
    outDir: '../dist/dashboard',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy forbids data: URLs.
    assetsInlineLimit: 0,
    // A single style sheet, since a failed one is not retried as chunks are (dashboard/load-chunk.ts).
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: { proxy: Object.fromEntries(routes.map((route) => [route, { target: SERVER, ws: true }])) },
});
