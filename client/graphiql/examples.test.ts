import { readFile } from 'node:fs/promises';
import { buildSchema, parse, validate } from 'graphql';
import { expect, it } from 'vitest';
import { EXAMPLES } from './examples';

it('the example tabs of GraphiQL are valid', async () => {
  const schema = buildSchema(await readFile(new URL('../../schema.graphql', import.meta.url), 'utf8'));
  for (const { query } of EXAMPLES) expect(validate(schema, parse(query)), query).toEqual([]);
});
