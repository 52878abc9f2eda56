// Writes oclif.manifest.json, from which `halfbyte --help` is printed without loading a command.
// With --check it only compares, and exits 1 when the file is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

setup();
const { Plugin, settings } = await import('@oclif/core');
settings.enableAutoTranspile = false;
const plugin = new Plugin({ root, type: 'core', isRoot: true, ignoreManifest: true, errorOnManifestCreate: true });
await plugin.load();

const file = join(root, 'oclif.manifest.json');
const manifest = `${JSON.stringify(sorted(plugin.manifest), null, 2)}\n`;
if (manifest.includes(JSON.stringify(root).slice(1, -1))) throw new Error('the manifest holds a path of this machine');
if (!process.argv.includes('--check')) {
  writeFileSync(file, manifest);
} else if (readOrEmpty(file) !== manifest) {
  console.error('oclif.manifest.json is stale.\nTry this: npm run manifest');
  process.exitCode = 1;
}

/** Keys in alphabetical order, so that the file does not depend on the order in which files are found. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value).filter((key) => value[key] !== undefined);
  return Object.fromEntries(keys.sort().map((key) => [key, sorted(value[key])]));
}

function readOrEmpty(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return '';
    throw error;
  }
}
