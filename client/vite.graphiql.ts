import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** GraphiQL's style sheets carry their fonts within; the policy of the pages knows only files. */
function fontsAsFiles(): Plugin {
  return {
    name: 'fonts-as-files',
    enforce: 'post',
    generateBundle(_, bundle) {
      for (const asset of Object.values(bundle)) {
        if (asset.type !== 'asset' || !asset.fileName.endsWith('.css')) continue;
        asset.source = String(asset.source).replace(
          /url\(["']?data:font\/(\w+)[^,)]*;base64,([^"')]+)["']?\)/g,
          (_, type, text) => {
            const source = Buffer.from(text, 'base64');
            const file = this.emitFile({ type: 'asset', name: `font.${type}`, source });
            return `url(${this.getFileName(file).replace('assets/', './')})`;
          },
        );
      }
    },
  };
}

/** GraphiQL, at /graphiql: everything that it needs is below /graphiql/assets/, its workers too. */
export default defineConfig({
  root: 'graphiql',
  plugins: [react(), fontsAsFiles()],
  base: '/graphiql/',
  build: {
    outDir: '../dist/graphiql',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Monaco is large, and its page is for few.
    chunkSizeWarningLimit: 5_000,
    rolldownOptions: {
      // Directives for React on servers, and for its compiler: nothing that is lost here.
      onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log),
    },
  },
  worker: { format: 'es' },
});
