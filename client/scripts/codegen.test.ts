import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
// @ts-expect-error the script has no types
import { generate } from './codegen.mjs';

it('generated files are up to date (npm run codegen)', async () => {
  for (const [path, text] of (await generate()) as [string, string][]) {
    expect(await readFile(new URL(`../${path}`, import.meta.url), 'utf8'), path).toBe(text);
  }
});
