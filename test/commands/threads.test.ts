import { spawnSync } from 'node:child_process';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
const convert = (...flags: string[]) => {
  const out = join(tmpdir(), 'halfbyte-threads-none');
  const args = ['convert', join(root, 'fixtures/llama-hd8'), '-o', out, '--dry-run', '--json', ...flags];
  const { stdout, status } = spawnSync(process.execPath, ['--import', 'tsx', join(root, 'bin/dev.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.is(status, 0, stdout);
  return JSON.parse(stdout).notes.filter((note: string) => note.startsWith('--workers'));
};

test('threads beyond four a core are not started, which a note says', () => {
  const most = 4 * availableParallelism();
  assert.equal(convert('--workers', '99999'), [
    `--workers 99999: ${most} are used, 4 a core; more would only wait for each other.`,
  ]);
  assert.equal(convert('--workers', String(most)), []);
});

test.run();
