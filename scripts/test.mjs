// Runs every test file in a process of its own, as many at a time as there are cores, and counts what they report.
// `npm test -- rope` runs the files whose path matches one of the patterns.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, sep } from 'node:path';
import { root, setup } from './setup.mjs';

const secondsPerFile = 300;
const running = new Set();

setup();
const patterns = process.argv.slice(2).map((pattern) => new RegExp(pattern));
const files = testFiles('test').filter(
  (file) => patterns.length === 0 || patterns.some((pattern) => pattern.test(file)),
);
let passed = 0;
let failed = 0;
process.once('SIGINT', () => interrupt());
process.once('SIGTERM', () => interrupt());

const queue = files.values();
const worker = async () => {
  for (const file of queue) {
    const result = await run(file);
    passed += result.passed;
    failed += result.failed;
    console.log(describe(file, result));
  }
};
await Promise.all(Array.from({ length: availableParallelism() }, worker));
if (files.length === 0) console.log(`no test file matches ${patterns.join(' ')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

function testFiles(folder) {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const tests = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'));
  // Node 20.11 has `path`, later versions `parentPath`.
  const paths = tests.map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)));
  return paths.map((path) => path.split(sep).join('/')).sort();
}

/** The counts of one file, and why it counts as failed where its own summary does not say so. */
function run(file) {
  const started = performance.now();
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own, so that a test's own children end with it.
    detached: process.platform !== 'win32',
  });
  running.add(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end(child);
  }, secondsPerFile * 1000);
  return new Promise((resolve) => {
    const finish = (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const seconds = (performance.now() - started) / 1000;
      resolve({ ...count(output, late ? 'timeout' : (signal ?? code)), seconds, output });
    };
    child.once('error', (error) => {
      output += error.message;
      finish(1, null);
    });
    child.once('close', finish);
  });
}

/** Reads uvu's summary. A crash, a timeout or a file without a single test is a failure whatever it printed. */
function count(output, exit) {
  const total = sumOf(output, 'Total');
  const passed = sumOf(output, 'Passed');
  const skipped = sumOf(output, 'Skipped');
  if (total === undefined || passed === undefined) return { passed: 0, failed: 1, reason: `no summary, exit ${exit}` };
  const failed = total - passed - (skipped ?? 0);
  if (exit === 'timeout') return { passed, failed: failed + 1, reason: `still running after ${secondsPerFile} s` };
  if (failed > 0) return { passed, failed };
  if (exit !== 0) return { passed, failed: 1, reason: `exit ${exit}` };
  if (total === 0) return { passed, failed: 1, reason: 'no test in this file' };
  return { passed, failed };
}

function sumOf(output, label) {
  const numbers = [...output.matchAll(new RegExp(`^ *${label}: +(\\d+)\\s*$`, 'gm'))].map((match) => Number(match[1]));
  return numbers.length === 0 ? undefined : numbers.reduce((sum, each) => sum + each);
}

function describe(file, { passed, failed, reason, seconds, output }) {
  const line = `${failed > 0 ? 'FAILED' : 'ok    '} ${file}  ${passed} passed`;
  const counts = failed > 0 ? `${line}, ${failed} failed${reason ? ` (${reason})` : ''}` : line;
  const timed = `${counts}  ${seconds.toFixed(1)} s`;
  return failed > 0 ? `${timed}\n${output.trimEnd().replace(/^/gm, '    | ')}` : timed;
}

function end(child) {
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function interrupt() {
  for (const child of running) end(child);
  process.exit(130);
}
