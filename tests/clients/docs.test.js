// Every command, GraphQL document and script in README.md, CONTRIBUTING.md and docs/*.md, run as it is written there.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { BINARY, Server, withoutSettings } from './support/server.js';
import { within } from './support/within.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const HERE = fileURLToPath(new URL('.', import.meta.url));
const ADDRESS = 'http://127.0.0.1:8000';
/** What a successful response contains. */
const SUCCESS = /"revisions?":|"points":|"status":"success"|^OK$/m;

const docs = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
const files = ['README.md', 'CONTRIBUTING.md', ...docs.sort()];

/** The code blocks of a text, with their language. */
function blocks(text) {
  return [...text.matchAll(/^```(\w+)\n(.*?)^```/gms)].map(([, language, code]) => ({ language, code }));
}

/** The commands of a block. A command continues on lines that are indented, follow a backslash, or are within quotes. */
function commands(code) {
  const found = [];
  let open = '';
  for (const line of code.split('\n')) {
    if (!open && (line === '' || line.startsWith('#'))) continue;
    open += `${line}\n`;
    const quotes = open.replaceAll(/\\./g, '').match(/'/g)?.length ?? 0;
    if (line.endsWith('\\') || quotes % 2 === 1) continue;
    found.push(open.trim());
    open = '';
  }
  assert.equal(open, '', `an unfinished command: ${open}`);
  return found;
}

const execute = promisify(execFile);
let server;
let folder;
/** The settings of reporting programs. */
let client;
before(async () => {
  server = await Server.start();
  for (const pipeline of ['billing', 'demo', 'news']) await server.report(pipeline);
  folder = await mkdtemp(join(tmpdir(), 'pipewatch-docs-'));
  await symlink(BINARY, join(folder, 'pipewatch'));
  await symlink(join(ROOT, 'examples'), join(folder, 'examples'));
  await writeDbtResults(join(folder, 'target'));
  client = {
    PIPEWATCH_URL: server.url,
    PIPEWATCH_SPOOL: join(folder, 'spool'),
    PYTHONPATH: join(ROOT, 'clients/python/src'),
  };
});
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What dbt leaves of an invocation that built one model. */
async function writeDbtResults(target) {
  const metadata = { invocation_id: randomUUID(), generated_at: new Date().toISOString(), project_name: 'shop' };
  const results = [
    { unique_id: 'model.shop.orders', status: 'success', execution_time: 1, timing: [], adapter_response: { rows_affected: 5 } },
  ];
  await mkdir(target);
  const write = (name, value) => writeFile(join(target, name), JSON.stringify({ metadata, ...value }));
  await write('manifest.json', { nodes: { 'model.shop.orders': { unique_id: 'model.shop.orders', tags: [] } } });
  await write('run_results.json', { results, args: { which: 'build' }, elapsed_time: 1 });
}

/** Runs bash with the program on its PATH; resolves when the output matches, or when it ends. */
async function run(t, script, expected, variables = {}) {
  // A process group, since streams stay open until they are stopped.
  const env = { ...withoutSettings(process.env), PATH: `${folder}:${process.env.PATH}`, ...variables };
  const child = spawn('bash', ['-c', script], { detached: true, cwd: folder, env });
  const end = new Promise((resolve) => child.on('close', resolve));
  t.after(async () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      assert.equal(error.code, 'ESRCH', 'the whole group has ended');
    }
    await end;
  });
  let output = '';
  const matches = new Promise((resolve) => {
    const read = (text) => {
      output += text;
      if (expected.test(output)) resolve();
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
  });
  await within(Promise.race([matches, end]), `output of ${script}`, 20_000);
  assert.match(output, expected, output);
  assert.doesNotMatch(output, /"errors":\s*\[\s*\{/, output);
}

/** A block that starts the program: later commands wait until it listens, and use its address. */
function withServer(code) {
  const wait = `>serve.log 2>&1 & until grep -qs http:// serve.log; do kill -0 $! || { cat serve.log; exit 1; }; sleep 0.05; done
cat serve.log; URL=$(grep -o 'http://[0-9.:]*' serve.log | tail -n 1)`;
  // The log of an earlier block would be read for that of this one.
  return `rm -f serve.log; ${code.replace(/pipewatch serve.*/, (start) => `${start} ${wait}`).replaceAll(ADDRESS, '$URL')}`;
}

/** Whether a command is one of a client, whose settings would be unknown to the server. */
function reportsToServer(command) {
  return /^pipewatch (spool|dbt|check)\b/.test(command);
}

async function targets() {
  return [...(await readFile(join(ROOT, 'Makefile'), 'utf8')).matchAll(/^([a-z0-9-]+):/gm)].map(([, name]) => name);
}

async function scripts() {
  const packages = ['client/package.json', 'tests/clients/package.json', 'examples/react/package.json'];
  const texts = await Promise.all(packages.map((path) => readFile(join(ROOT, path), 'utf8')));
  return texts.flatMap((text) => Object.keys(JSON.parse(text).scripts ?? {}));
}

/** Builds and starts that other tests run; here only their names are checked. */
async function checkNames(command) {
  for (const [, target] of command.matchAll(/\bmake ([a-z-]+)/g)) assert.ok((await targets()).includes(target), target);
  for (const [, script] of command.matchAll(/\bnpm run ([\w:-]+)/g)) assert.ok((await scripts()).includes(script), script);
}

for (const file of files) {
  const found = blocks(await readFile(join(ROOT, file), 'utf8'));
  describe(file, () => {
    for (const { language, code } of found) {
      const title = code.split('\n').slice(0, 2).join(' ').slice(0, 100);
      if (language === 'sh' && code.includes('pipewatch serve')) {
        const expected = code.includes('curl ') ? SUCCESS : /http:\/\/127\.0\.0\.1:\d+/;
        test(title, (t) => run(t, withServer(code), expected, { PIPEWATCH_LISTEN: '127.0.0.1:0' }));
      } else if (language === 'sh') {
        for (const command of commands(code)) {
          const name = command.split('\n')[0];
          if (command.startsWith('curl ')) {
            test(name, (t) => run(t, command.replaceAll(ADDRESS, server.url), SUCCESS));
          } else if (command.startsWith('pipewatch replay ')) {
            test(name, async (t) => {
              // It runs for hours: its first post is enough.
              const before = await server.revision('demo');
              const stopped = run(t, `${command} --url ${server.url}`, /never printed/);
              stopped.catch(() => {});
              await server.changed('demo', before);
            });
          } else if (/^(pipewatch|echo .*\| pipewatch) (record|run)\b/.test(command)) {
            test(name, async (t) => {
              const before = await server.revision('billing');
              await run(t, `${command} && echo succeeded`, /succeeded/, client);
              await server.changed('billing', before);
            });
          } else if (command.startsWith('pipewatch ')) {
            test(name, (t) => run(t, `${command} && echo succeeded`, /succeeded/, reportsToServer(command) ? client : {}));
          } else if (command.startsWith('pip install ')) {
            test(name, () => access(join(ROOT, command.split(' ').at(-1), 'pyproject.toml')));
          } else if (command.startsWith('export ')) {
            test(name, (t) => run(t, `set -e; ${command}; echo succeeded`, /succeeded/));
          } else {
            test(name, () => {
              assert.match(command, /\b(make|npm|cargo) /, 'a kind of command that this test knows');
              return checkNames(command);
            });
          }
        }
      } else if (language === 'graphql') {
        test(title, () => server.graphql(code));
      } else if (language === 'jsx') {
        test(title, async () => {
          // client/e2e/examples.test.ts runs the example in Chromium.
          assert.equal(code, await readFile(join(ROOT, 'examples/react/app.jsx'), 'utf8'));
        });
      } else if (language === 'js') {
        test(title, async (t) => {
          const prelude = code.includes('new EventSource') ? "import { EventSource } from 'eventsource';\n" : '';
          // Next to the packages of these tests.
          const path = join(HERE, `docs-${process.pid}-${Math.random().toString(36).slice(2)}.mjs`);
          const address = server.url.replace('http:', '');
          await writeFile(path, prelude + code.replaceAll(ADDRESS.replace('http:', ''), address));
          t.after(() => rm(path));
          await run(t, `exec node --no-warnings ${process.versions.node < '22' ? '--experimental-websocket' : ''} ${path}`,
            /'(HEALTHY|PENDING)'|^(healthy|pending)$/m);
        });
      } else if (language === 'json') {
        test(title, () => void JSON.parse(code));
      } else if (language === 'crontab') {
        for (const line of code.trim().split('\n')) {
          test(line, async (t) => {
            const command = line.replace(/^(\S+\s+){5}/, '').replaceAll(ADDRESS, server.url);
            assert.match(command, /\/opt\/billing\/load/);
            await run(t, command.replace('/opt/billing/load', '{ echo broken; exit 3; }'), SUCCESS);
            const { sourceRuns } = await server.graphql(
              '{ sourceRuns(pipeline: "billing", source: "load", outcome: FAILED) { nodes { error log } } }',
            );
            assert.deepEqual({ ...sourceRuns.nodes[0] }, { error: 'exit code 3', log: 'broken' });
          });
        }
      } else if (language === 'python' && code.includes('pipewatch.run(')) {
        test(title, async (t) => {
          const before = await server.revision('billing');
          const path = join(folder, 'documented.py');
          await writeFile(path, code);
          await run(t, `python3 ${path} && echo succeeded`, /succeeded/, client);
          await server.changed('billing', before);
        });
      } else if (language === 'python') {
        test(title, () => execute('python3', ['-c', 'import ast, sys; ast.parse(sys.argv[1])', code]));
      } else {
        test(title, () => assert.ok(['mermaid', 'toml'].includes(language), `${language} is not a tested language`));
      }
    }
  });
}

test('commands are found', () => assert.ok(docs.length >= 5));
