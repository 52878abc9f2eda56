// Makes a fresh clone ready: dependencies as the lockfile has them, and a build of the current sources.
// Plain Node, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const oldestNode = [20, 11];
const buildInputs = [
  'src',
  'commands',
  'package.json',
  'package-lock.json',
  'scripts/build-kernels.mjs',
  'scripts/bundle.mjs',
  'scripts/declarations.mjs',
];

/** Installs when node_modules does not match package-lock.json and builds when the sources changed. */
export function setup() {
  checkNode();
  if (!isInstalled()) install();
  if (!isBuilt()) build();
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  stop(`halfbyte needs Node ${oldestNode.join('.')} or newer; this is ${process.versions.node}.`);
}

/**
 * npm writes node_modules/.package-lock.json last, after a complete install: it lists what is really there. Optional
 * packages of other platforms are the only ones that may be missing from it.
 */
function isInstalled() {
  const lockfile = join(root, 'package-lock.json');
  if (!existsSync(lockfile)) stop('package-lock.json is missing.\nTry this: git checkout package-lock.json');
  const installedFile = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const wanted = readPackages(lockfile);
  const installed = readPackages(installedFile);
  const same = ([name, entry]) =>
    installed[name]
      ? installed[name].version === entry.version && installed[name].integrity === entry.integrity
      : entry.optional || entry.devOptional;
  return (
    Object.entries(wanted).every(same) &&
    Object.keys(installed).every((name) => wanted[name] && existsSync(join(root, name)))
  );
}

function readPackages(file) {
  const { '': _project, ...packages } = JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
  return packages;
}

function install() {
  // The install script of onnxruntime-node downloads CUDA parts, which nothing here uses.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  step('Installing the dependencies (npm ci)', 'npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], env);
}

function isBuilt() {
  const stamp = join(root, 'dist/.build-stamp');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== digestOfSources()) return false;
  return ['dist', 'src'].every((folder) => existsSync(join(root, folder, 'kernels/kernels.wasm')));
}

function build() {
  const digest = digestOfSources();
  step('Checking types', process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  const old = readdirSync(join(root, 'dist')).filter((name) => name !== 'types');
  for (const name of old) rmSync(join(root, 'dist', name), { recursive: true, force: true });
  step('Keeping the declarations of the library', process.execPath, ['scripts/declarations.mjs']);
  step('Bundling', process.execPath, ['scripts/bundle.mjs']);
  step('Compiling the kernels', process.execPath, ['scripts/build-kernels.mjs']);
  writeFileSync(join(root, 'dist/.build-stamp'), digest);
}

function digestOfSources() {
  const hash = createHash('sha256');
  const tsconfigs = readdirSync(root).filter((name) => /^tsconfig.*\.json$/.test(name));
  for (const file of [...buildInputs, ...tsconfigs].flatMap((name) => filesUnder(join(root, name))).sort()) {
    const content = readFileSync(file);
    hash.update(`${relative(root, file)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

function filesUnder(path) {
  if (!existsSync(path)) return [];
  const isBuildOutput = (name) => name.endsWith('.wasm') || name.endsWith('.tmp');
  try {
    const entries = readdirSync(path).filter((name) => !isBuildOutput(name));
    return entries.flatMap((name) => filesUnder(join(path, name)));
  } catch (error) {
    if (error.code === 'ENOTDIR') return [path];
    throw error;
  }
}

function step(title, command, args, env = process.env) {
  console.log(`${title} ...`);
  const shell = process.platform === 'win32' && command === 'npm';
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: root, env, shell, encoding: 'utf8' });
  if (status === 0) return;
  stop(`${title} failed.\n${error ? error.message : `${stdout}${stderr}`.trimEnd()}`);
}

function stop(message) {
  console.error(message);
  process.exit(1);
}

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) setup();
