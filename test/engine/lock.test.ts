import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EnvironmentError } from '../../src/core/errors.js';
import { isLocked, takeLock } from '../../src/engine/lock.js';
import { realFileSystem } from '../../src/sources/file-system.js';

const dir = mkdtempSync(join(tmpdir(), 'halfbyte-lock-'));
const path = join(dir, 'lock-whole');
const held = (pid: number) => writeFileSync(path, JSON.stringify({ pid, host: hostname(), token: 'another' }));

if (process.platform === 'linux') {
  test('a killed owner that nobody has collected holds no lock', async () => {
    // The second program takes the place of the shell and does not wait for the first. It says when it has: until then
    // the shell would collect what is killed.
    const script = 'sleep 60 & echo $!; exec "$0" -e "console.log(1); setTimeout(() => {}, 60000)"';
    const parent = spawn('sh', ['-c', script, process.execPath], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const lines = createInterface({ input: parent.stdout })[Symbol.asyncIterator]();
      const pid = Number((await lines.next()).value);
      await lines.next();
      held(pid);
      assert.ok(isLocked(path, realFileSystem));
      assert.throws(
        () => takeLock(path, 'x', realFileSystem),
        (error: unknown) => error instanceof EnvironmentError && error.message.includes(`process ${pid}`),
      );
      process.kill(pid, 'SIGKILL');
      const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0];
      for (let tries = 0; state() !== 'Z' && tries < 3000; tries++) await new Promise((done) => setTimeout(done, 10));
      assert.is(state(), 'Z');
      assert.not(isLocked(path, realFileSystem));
      takeLock(path, 'x', realFileSystem)();
    } finally {
      parent.kill('SIGKILL');
    }
  });
}

test('a process that is gone holds no lock, one that lives does', () => {
  held(2 ** 22 + 1);
  assert.not(isLocked(path, realFileSystem));
  held(process.ppid);
  assert.ok(isLocked(path, realFileSystem));
});

test.after(() => rmSync(dir, { recursive: true }));
test.run();
