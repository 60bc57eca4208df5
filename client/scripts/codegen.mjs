// Generates types and documents from ../schema.graphql with GraphQL Code Generator. `npm run codegen` writes the files; a test
// fails when they are out of date. The generator's core is used without its command line, which adds some 200 packages.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as operations from '@graphql-codegen/typescript-operations';
import { parse, print, stripIgnoredCharacters, visit } from 'graphql';

const root = new URL('../', import.meta.url);
const read = (path) => readFile(new URL(path, root), 'utf8');

const HEADER = '// Generated from schema.graphql and operations.graphql by npm run codegen.\n';
const CONFIG = {
  useTypeImports: true,
  enumsAsTypes: true,
  enumType: 'string-literal',
  skipTypename: true,
  avoidOptionals: { field: true },
  scalars: { DateTime: 'string', Count: 'number', ID: 'string' },
  documentNodeImport: '@apollo/client#TypedDocumentNode',
};

/** The path and the text of each generated file. */
export async function generate() {
  const schema = parse(await read('../schema.graphql'));
  const feed = parse(await read('src/feed/operations.graphql'));
  const dashboard = parse(await read('dashboard/operations.graphql'));
  return [
    ['src/generated/types.ts', await generateWith({ operations }, schema, feed)],
    ['src/generated/documents.ts', HEADER + documentStrings(feed)],
    ['dashboard/generated.ts', await generateWith({ operations, typedDocumentNode }, schema, dashboard)],
  ];
}

async function generateWith(pluginMap, schema, document) {
  const text = await codegen({
    filename: 'generated.ts',
    schema,
    documents: [{ location: 'operations.graphql', document }],
    config: CONFIG,
    plugins: Object.keys(pluginMap).map((name) => ({ [name]: CONFIG })),
    pluginMap,
  });
  return `${HEADER}${text}\n`;
}

/** Each operation with its fragments as a minified string, which the feed sends with every subscription. */
function documentStrings(document) {
  let text = '';
  for (const fragment of document.definitions.filter((it) => it.kind === 'FragmentDefinition'))
    text += `const ${fragment.name.value} = '${minify(fragment)}';\n`;
  for (const operation of document.definitions.filter((it) => it.kind === 'OperationDefinition')) {
    const used = new Set();
    visit(operation, { enter: (node) => void (node.kind === 'FragmentSpread' && used.add(node.name.value)) });
    const parts = [`'${minify(operation)}'`, ...used].join(' + ');
    text += `export const ${operation.name.value}Document = ${parts};\n`;
  }
  return text;
}

function minify(definition) {
  return stripIgnoredCharacters(print(definition));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of await generate()) await writeFile(new URL(path, root), text);
}
