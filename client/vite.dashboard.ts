import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const SERVER = process.env.PIPEWATCH_URL ?? 'http://127.0.0.1:8000';
const routes = ['/graphql', '/api', '/badge', '/metrics'];

/** The dashboard, as the server embeds it: index.html, and hashed files below /assets/ that never change. */
export default defineConfig({
  root: 'dashboard',
  plugins: [react()],
  build: {
    outDir: '../dist/dashboard',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy knows only files: no data: addresses.
    assetsInlineLimit: 0,
    // One style sheet: Vite does not fetch one again that failed, as it does with code (dashboard/code.ts).
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: { proxy: Object.fromEntries(routes.map((route) => [route, { target: SERVER, ws: true }])) },
});
