import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EnvironmentError, type HalfbyteError, UsageError } from '../../src/core/errors.js';
import { checkOutputDirectory, outputDirectory } from '../../src/places/directory.js';

const work = realpathSync(mkdtempSync(join(tmpdir(), 'halfbyte-places-')));
const started = process.cwd();
test.after(() => {
  process.chdir(started);
  rmSync(work, { recursive: true });
});

/** A directory with these files; `listed` are in its manifest. */
function directory(name: string, files: string[], listed?: unknown): string {
  const path = join(work, name);
  mkdirSync(path, { recursive: true });
  for (const file of files) {
    mkdirSync(join(path, file, '..'), { recursive: true });
    writeFileSync(join(path, file), 'mine');
  }
  if (listed !== undefined) writeFileSync(join(path, 'halfbyte.json'), JSON.stringify(listed));
  return path;
}

const ours = (...names: string[]) => ({ tool: { name: 'halfbyte' }, files: names.map((name) => ({ name })) });

function refused(
  output: string,
  message: RegExp,
  { force = true, inputs = [] as string[], kind = UsageError as unknown } = {},
) {
  const before = work === output ? [] : readdirSync(work);
  try {
    checkOutputDirectory(output, { force, inputs });
  } catch (error) {
    assert.instance(error, kind as ErrorConstructor);
    assert.match((error as HalfbyteError).report, message);
    assert.match((error as HalfbyteError).report, /\nTry this: /);
    if (work !== output) assert.equal(readdirSync(work), before);
    return;
  }
  assert.unreachable(`${output} was not refused`);
}

const state = (output: string, force = true) => outputDirectory(output, { force, inputs: [] }).state;

test('what may be written: nothing, an empty directory, and with force what is ours alone', () => {
  assert.is(state(join(work, 'new')), 'absent');
  assert.is(state(join(work, 'new/deeper/still')), 'absent');
  assert.is(state(directory('empty', []), false), 'empty');
  const package_ = directory('package', ['model.onnx', 'onnx/part.data'], ours('model.onnx', 'onnx/part.data'));
  assert.is(state(package_), 'ours');
  refused(package_, /package: the output exists already.*\n.*--force/, { force: false });
});

test('a place that a killed run has filled in part may be filled to the end, with nothing else in it', () => {
  const growing = '.halfbyte-tmp/complete';
  const part = directory('part', ['onnx/a', growing]);
  directory('part/.halfbyte-tmp/package', ['b'], ours('onnx/a', 'b'));
  assert.is(state(part, false), 'empty');
  assert.is(state(directory('whole', ['onnx/a', growing], ours('onnx/a')), false), 'empty');
  writeFileSync(join(part, 'thesis.txt'), 'mine');
  refused(part, /part: exists, and has no halfbyte\.json/);
  refused(directory('alone', ['onnx/a', growing]), /alone: exists, and has no halfbyte\.json/);
});

if (process.platform !== 'win32' && process.getuid?.() !== 0) {
  test('a package in a folder that cannot be written to is refused before the work, with force', () => {
    const package_ = directory('closed/package', ['a'], ours('a'));
    chmodSync(join(work, 'closed'), 0o555);
    refused(package_, /package: cannot be replaced as a whole, for .*closed cannot be written to/);
    chmodSync(join(work, 'closed'), 0o755);
  });
}

test('links: to an empty directory and to a package they are followed, elsewhere refused', () => {
  const target = directory('target', []);
  symlinkSync(target, join(work, 'link'));
  assert.equal(outputDirectory(join(work, 'link'), { force: false, inputs: [] }), { path: target, state: 'empty' });
  writeFileSync(join(target, 'thesis.txt'), 'mine');
  refused(join(work, 'link'), /link: exists, and has no halfbyte\.json/);
  symlinkSync(join(work, 'nowhere'), join(work, 'dangling'));
  refused(join(work, 'dangling'), /dangling: is a link that leads nowhere/);
  symlinkSync(homedir(), join(work, 'home'));
  refused(join(work, 'home'), /home directory|holds|parent of|input/);
});

test('what is not ours is refused, with force too, and named', () => {
  refused('', /^-o is empty/);
  refused(directory('thesis', ['thesis.txt']), /thesis: exists, and has no halfbyte\.json.*with --force too/);
  refused(
    directory('mixed', ['model.onnx', 'thesis.txt'], ours('model.onnx')),
    /holds "thesis\.txt", which its halfbyte\.json/,
  );
  refused(directory('deep', ['onnx/a', 'onnx/notes/b'], ours('onnx/a')), /holds "onnx\/notes"/);
  refused(directory('many', ['a', 'b', 'c', 'd', 'e'], ours('a')), /and more, which/);
  refused(directory('foreign', ['a'], { tool: { name: 'other' }, files: [{ name: 'a' }] }), /has no halfbyte\.json/);
  refused(directory('listless', ['a'], { tool: { name: 'halfbyte' } }), /has no halfbyte\.json/);
  writeFileSync(join(work, 'file'), 'mine');
  refused(join(work, 'file'), /file: is a file/);
  refused(join(work, 'file/below'), /file is a file, not a folder/);
  refused('/dev/null', /is no folder/);
  assert.is(readFileSync(join(work, 'file'), 'utf8'), 'mine');
});

test('the current directory, its parents and the home directory are never replaced, even when they are ours or empty', () => {
  const here = directory('here', [], ours());
  const inner = directory('here/inner', []);
  process.chdir(inner);
  refused('.', /is the current directory/);
  refused(inner, /is the current directory/);
  refused('..', /is a parent of the current directory/);
  refused(here, /is a parent of the current directory/);
  refused(homedir(), /is your home directory|would replace|is a parent of/);
  refused('/', /is a parent of/);
  process.chdir(started);
});

test('an input, a parent of one, and a file inside are no output', () => {
  const model = directory('models/model', ['config.json'], ours('config.json'));
  for (const output of [model, join(work, 'models'), join(model, '../model/')]) {
    refused(output, /would replace its own input/, { inputs: [join(model, 'config.json'), model] });
  }
});

if (process.platform === 'linux') {
  test('a place where the system lets nobody write is refused at once', () => {
    refused('/proc/package', /\/proc: nothing can be written there \(E\w+\)/, { kind: EnvironmentError });
  });
}

test.run();
