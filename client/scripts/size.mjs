// What is loaded, minified and gzipped with the libraries beneath it, against its budget.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const gzipped = (text) => gzipSync(text, { level: 9 }).length;

/** An entry as an application would bundle it. */
async function feed() {
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
    if (code.toLowerCase().includes(word.toLowerCase())) throw new Error(`${word} is in the feed's bundle`);
  }
  return gzipped(code);
}

/** The scripts that the dashboard's page loads before anything is shown. */
async function firstView() {
  const folder = `${root}dist/dashboard`;
  const page = await readFile(`${folder}/index.html`, 'utf8');
  const scripts = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)];
  if (scripts.length === 0) throw new Error('the page loads no script: npm run build:dashboard');
  const sizes = await Promise.all(scripts.map(async ([, path]) => gzipped(await readFile(folder + path))));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

for (const [what, measure, budget] of [
  ['the feed with its three transports', feed, 12 * 1024],
  ["the dashboard's first view", firstView, 160 * 1024],
]) {
  const bytes = await measure();
  console.log(`${what}: ${bytes} bytes gzipped of ${budget}`);
  if (bytes > budget) process.exitCode = 1;
}
