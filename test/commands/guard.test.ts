import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'halfbyte-guard-'));
/** A folder of more than 16 MB, whose files take no room on the disk. */
const large = join(work, 'large');
mkdirSync(large);
writeFileSync(join(large, 'model.safetensors'), '');
truncateSync(join(large, 'model.safetensors'), 2 ** 25);
const absent = join(work, 'nothing-here');

/** Starts the built program; `inChild` is code that runs first in the process that does the work. */
function start(args: string[], inChild = ''): { child: ChildProcess; ended: Promise<[number, string]> } {
  const module = join(work, 'first.mjs');
  writeFileSync(module, `if (process.env.HALFBYTE_GUARDED) {\n${inChild}\n}\n`);
  const env = { ...process.env, NODE_OPTIONS: inChild === '' ? '' : `--import ${module}` };
  const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (said += text));
  return { child, ended: once(child, 'close').then(([code]) => [code, said]) };
}

test('a command comes through its child as it is: result, exit code, arguments of any length', async () => {
  const [code, said] = await start(['verify', absent, '--reference', absent]).ended;
  assert.is(code, 3, said);
  assert.match(said, /nothing-here/);
  assert.is((await start(['generate', '--nonsense']).ended)[0], 2);
  const [long, answer] = await start(['generate', absent, '--prompt', 'word '.repeat(20_000)]).ended;
  assert.is(long, 3, answer);
  const [shown, commandLine] = await start(
    ['generate', absent, '--prompt', 'word '.repeat(20_000)],
    "import('node:fs').then((fs) => console.log('length', fs.readFileSync('/proc/self/cmdline').length));",
  ).ended;
  assert.is(shown, 3);
  // ONNX Runtime reads the command line of its process
  if (process.platform === 'linux')
    assert.ok(Number(/length (\d+)/.exec(commandLine)?.[1]) < 1000, commandLine.slice(0, 80));
});

if (process.platform !== 'win32') {
  const dies = "process.kill(process.pid, 'SIGSEGV');\nawait new Promise(() => setTimeout(() => {}, 60_000));";

  test('a death in native code is a failure of the package, not of the program', async () => {
    const [code, said] = await start(['verify', absent], dies).ended;
    assert.is(code, 1, said);
    assert.match(said, /FAIL .*nothing-here: the process that ran the model was ended by SIGSEGV/);
    const [asJson, text] = await start(['verify', absent, '--json'], dies).ended;
    assert.is(asJson, 1);
    assert.is(JSON.parse(text).error.code, 1);
    assert.is((await start(['generate', absent, '--prompt', 'x'], dies).ended)[0], 3);
    const [reading, told] = await start(['inspect', large], dies).ended;
    assert.is(reading, 4, told);
    assert.match(told, /the process that read the model was ended by SIGSEGV/);
  });

  test('few file descriptors are an error of the environment that names them, for every number', async () => {
    for (const files of [18, 19, 20, 21, 22]) {
      for (const command of ['verify', 'inspect']) {
        const { stderr, status } = spawnSync(
          'sh',
          ['-c', `ulimit -n ${files}; exec "$@"`, 'sh', process.execPath, program, command, large],
          { encoding: 'utf8' },
        );
        assert.ok([2, 3, 4].includes(status ?? -1), `${files} files, ${command}: ${status} ${stderr}`);
        assert.not.match(stderr, /internal error|TypeError|\n {4}at /);
        if (status === 4) assert.match(stderr, /EMFILE|too many open files|ulimit/);
      }
    }
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    for (const args of [
      ['verify', absent],
      ['inspect', large],
    ])
      test(`${signal} ends ${args[0]} whose main thread is busy within a second`, async () => {
        const busy = "process.stdout.write('busy'); for (const end = Date.now() + 60_000; Date.now() < end; );";
        const { child, ended } = start(args, busy);
        await once(child.stdout!, 'data');
        const began = performance.now();
        child.kill(signal);
        const [code, said] = await ended;
        assert.is(code, 130, said);
        assert.match(said, new RegExp(`Interrupted by ${signal}`));
        // A busy machine takes some time of its own.
        assert.ok(performance.now() - began < 5000, `${performance.now() - began} ms`);
      });
  }
}

test.after(() => rmSync(work, { recursive: true, force: true }));
test.run();
