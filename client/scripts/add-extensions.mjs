// Adds file extensions to the imports of the emitted declarations: Node.js requires them and tsc does not add them.
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../dist/lib/types/', import.meta.url));

/** The path of a relative import with its extension. */
function resolve(from, path) {
  const target = join(dirname(from), path);
  if (existsSync(`${target}.d.ts`)) return `${path}.js`;
  if (existsSync(join(target, 'index.d.ts'))) return `${path.replace(/\/$/, '')}/index.js`;
  throw new Error(`${from} imports ${path}, which does not exist`);
}

for (const name of await readdir(root, { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue;
  const file = join(root, name);
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    text.replace(
      /((?:from|import\()\s*['"])(\.[^'"]*)(['"])/g,
      (_, head, path, tail) => head + resolve(file, path) + tail,
    ),
  );
}
