// What the README tells people to type, as it stands there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { Server } from './support/server.js';
import { within } from './support/within.js';

const README = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const ADDRESS = 'http://127.0.0.1:8000';

/** The README's blocks of a language. */
function blocks(language) {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text);
}

/** The calls of curl in a block: each goes to the next call, comment or empty line. */
function calls(block) {
  return block.split(/^(?=curl )|^(?=#)|^\n/m).filter((part) => part.startsWith('curl '));
}

let server;
before(async () => {
  server = await Server.start();
  for (const pipeline of ['demo', 'news']) await server.report(pipeline);
});
after(() => server.stop());

// A server with tokens has a block of its own, which begins with starting it.
const commands = blocks('sh').filter((block) => !block.includes('pipewatch serve')).flatMap(calls);

test('there are commands to type', () => {
  assert.ok(commands.length >= 8, `only ${commands.length}`);
});

for (const command of commands) {
  test(command.split('\n')[0], async (t) => {
    // A group of its own: a stream goes on until it is stopped.
    const child = spawn('bash', ['-c', command.replaceAll(ADDRESS, server.url)], { detached: true });
    t.after(() => {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
    });
    let answer = '';
    const answered = new Promise((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text) => {
        answer += text;
        if (/"revisions?":|"points":/.test(answer)) resolve();
      });
      child.on('close', resolve);
    });
    await within(answered, 'an answer');
    assert.match(answer, /"revisions?":|"points":/, answer);
    assert.doesNotMatch(answer, /"errors":\s*\[\s*\{/, answer);
  });
}

for (const document of blocks('graphql')) {
  test(document.split('\n').slice(0, 2).join(' '), () => server.graphql(document));
}
