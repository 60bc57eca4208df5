// Compares bundle sizes, minified and gzipped with their dependencies, with their budgets.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const gzippedSize = (text) => gzipSync(text, { level: 9 }).length;

/** The feed as an application would bundle it. */
async function feedSize() {
  const [{ output }] = await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      lib: { entry: 'src/feed/index.ts', formats: ['es'], fileName: 'size' },
    },
  });
  const code = output.map((chunk) => chunk.code).join('');
  for (const word of ['apollo', 'useSyncExternalStore']) {
    if (code.toLowerCase().includes(word.toLowerCase())) throw new Error(`the feed's bundle contains ${word}`);
  }
  return gzippedSize(code);
}

/** The scripts that the dashboard loads before its first render. */
async function firstViewSize() {
  const folder = `${root}dist/dashboard`;
  const page = await readFile(`${folder}/index.html`, 'utf8');
  const scripts = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)];
  if (scripts.length === 0) throw new Error('the dashboard is not built: run npm run build:dashboard');
  const sizes = await Promise.all(scripts.map(async ([, path]) => gzippedSize(await readFile(folder + path))));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

for (const [name, measure, budget] of [
  ['the feed with its three transports', feedSize, 12 * 1024],
  ["the dashboard's first view", firstViewSize, 160 * 1024],
]) {
  const bytes = await measure();
  console.log(`${name}: ${bytes} of ${budget} bytes, gzipped`);
  if (bytes > budget) process.exitCode = 1;
}
