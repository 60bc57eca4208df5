import { readFile } from 'node:fs/promises';
import { buildSchema, parse, validate } from 'graphql';
import { expect, it } from 'vitest';
import { EXAMPLES } from './examples';

it('the default tabs are valid operations of the schema', async () => {
  const schema = buildSchema(await readFile(new URL('../../schema.graphql', import.meta.url), 'utf8'));
  for (const { query } of EXAMPLES) expect(validate(schema, parse(query)), query).toEqual([]);
});
