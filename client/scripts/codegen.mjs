// Types from ../schema.graphql by GraphQL Code Generator, and the operations as strings. `npm run codegen` writes them;
// a test compares. The generator's core is used without its command line, which brings some two hundred packages.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { codegen } from '@graphql-codegen/core';
import * as operations from '@graphql-codegen/typescript-operations';
import { parse, print, stripIgnoredCharacters, visit } from 'graphql';

const root = new URL('../', import.meta.url);
const read = (path) => readFile(new URL(path, root), 'utf8');

const CONFIG = {
  useTypeImports: true,
  enumsAsTypes: true,
  enumType: 'string-literal',
  skipTypename: true,
  avoidOptionals: { field: true },
  scalars: { DateTime: 'string', Count: 'number', ID: 'string' },
};

/** Each generated file's path and text. */
export async function generate() {
  const schema = parse(await read('../schema.graphql'));
  const feed = parse(await read('src/feed/operations.graphql'));
  const dashboard = parse(
    await read('dashboard/operations.graphql').catch(() => 'fragment None on Query { __typename }'),
  );
  return [
    ['src/generated/types.ts', await typed(schema, [feed])],
    ['src/generated/documents.ts', strings(feed)],
    ...(dashboard.definitions.some((it) => it.kind === 'OperationDefinition')
      ? [['dashboard/generated.ts', (await typed(schema, [dashboard])) + strings(dashboard)]]
      : []),
  ];
}

async function typed(schema, documents) {
  const text = await codegen({
    filename: 'types.ts',
    schema,
    documents: documents.map((document, index) => ({ location: `${index}.graphql`, document })),
    config: CONFIG,
    plugins: [{ operations: CONFIG }],
    pluginMap: { operations },
  });
  return `${HEAD}${text}\n`;
}

const HEAD = '// Generated from schema.graphql and the operations beside it: npm run codegen.\n';

/** Every operation with the fragments it uses, as short as it can be: it goes over the wire with every subscription. */
function strings(document) {
  const fragments = new Map(
    document.definitions.filter((it) => it.kind === 'FragmentDefinition').map((it) => [it.name.value, it]),
  );
  let text = HEAD;
  for (const operation of document.definitions.filter((it) => it.kind === 'OperationDefinition')) {
    const used = new Set();
    visit(operation, {
      enter: (node) => void (node.kind === 'FragmentSpread' && used.add(fragments.get(node.name.value))),
    });
    const whole = [operation, ...used].map(print).join('\n');
    text += `export const ${operation.name.value}Document = '${stripIgnoredCharacters(whole)}';\n`;
  }
  return text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of await generate()) await writeFile(new URL(path, root), text);
}
