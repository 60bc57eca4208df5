import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Moves the inline fonts of GraphiQL's style sheets to files, since the content security policy forbids data: URLs. */
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

/** GraphiQL at /graphiql. All of its files, including the workers, are below /graphiql/assets/. */
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
    // Monaco is large.
    chunkSizeWarningLimit: 5_000,
    rolldownOptions: {
      // "use client" and similar directives have no effect in a browser bundle.
      onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log),
    },
  },
  worker: { format: 'es' },
});
