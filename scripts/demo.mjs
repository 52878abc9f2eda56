import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setup } from './setup.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const checkpoint = join('fixtures', 'union-1.8m');
const golden = join(checkpoint, 'golden.safetensors');
const heldout = join(checkpoint, 'heldout.txt');
const out = join('out', 'demo');

/** Runs a command of halfbyte in the project's root, showing it as a user would type it; returns what it printed. */
function halfbyte(...args) {
  console.log(`\n$ halfbyte ${args.map((each) => (/[ ,]/.test(each) ? `'${each}'` : each)).join(' ')}`);
  const options = { cwd: root, stdio: ['inherit', 'pipe', 'inherit'], encoding: 'utf8' };
  const { status, stdout } = spawnSync(process.execPath, [join('bin', 'run.js'), ...args], options);
  process.stdout.write(stdout);
  if (status !== 0) process.exit(status ?? 4);
  return stdout;
}

await setup();
rmSync(join(root, out), { recursive: true, force: true });

console.log('\nunion-1.8m is a small model trained on the State of the Union addresses.');
const rows = [['', 'package', 'bits per weight', 'perplexity', 'says']];
for (const weights of ['f32', 'int4']) {
  const directory = join(out, weights);
  halfbyte('convert', checkpoint, '-o', directory, '--weights', weights);
  const report = halfbyte('verify', directory, '--reference', golden, '--text', heldout, '--windows', '64');
  const text = halfbyte('generate', directory, '-p', 'My fellow Americans,', '--greedy', '--max-new-tokens', '60');
  const folder = join(root, directory);
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  const { totals } = JSON.parse(readFileSync(join(folder, 'halfbyte.json'), 'utf8'));
  const [, perplexity] = /perplexity of \S+ +\D* +([\d.]+)/.exec(report) ?? [];
  const says = `My fellow Americans,${text.slice(0, 60).trimEnd()} ...`;
  rows.push([weights, `${(bytes / 1e6).toFixed(2)} MB`, totals.bitsPerWeight.toFixed(2), perplexity ?? '', says]);
}
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
console.log(`\n${rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  ')).join('\n')}`);
