// The feed with its three transports and the libraries beneath them, minified and gzipped, against its budget.
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const BUDGET = 12 * 1024;

/** Bytes of an entry as an application would bundle it. */
export async function sizeOf(entry) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const { output } = (
    await build({
      root,
      configFile: false,
      logLevel: 'error',
      build: {
        write: false,
        target: 'es2022',
        minify: true,
        lib: { entry, formats: ['es'], fileName: 'size' },
        rolldownOptions: { external: [/^react/, /^@apollo/, /^rxjs/] },
      },
    })
  )[0];
  return output.map((chunk) => ({
    name: chunk.fileName,
    bytes: gzipSync(chunk.code ?? chunk.source, { level: 9 }).length,
    code: chunk.code,
  }));
}

const chunks = await sizeOf('src/feed/index.ts');
const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
console.log(`feed: ${bytes} bytes gzipped of ${BUDGET}`);
if (bytes > BUDGET) process.exitCode = 1;
