import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setup } from './setup.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const checkpoint = join('fixtures', 'union-1.8m');
const golden = join(checkpoint, 'golden.safetensors');
const heldout = join(checkpoint, 'heldout.txt');
const out = join('out', 'demo');
const prompt = 'My fellow Americans,';

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
mkdirSync(join(root, out), { recursive: true });

console.log('\nunion-1.8m is a small model trained on the State of the Union addresses.');
const rows = [['', 'package', 'bits per weight', 'perplexity', 'says']];
for (const weights of ['f32', 'int4']) {
  const directory = join(out, weights);
  const report = join(out, `${weights}.json`);
  halfbyte('convert', checkpoint, '-o', directory, '--weights', weights);
  halfbyte(
    ...['verify', directory, '--reference', golden, '--text', heldout, '--windows', '64', '--report', report],
    ...['--report', join(out, `${weights}.html`)],
  );
  const text = halfbyte('generate', directory, '-p', prompt, '--greedy', '--max-new-tokens', '60');
  const { subject, perplexity } = JSON.parse(readFileSync(join(root, report), 'utf8'));
  const bytes = subject.files.reduce((sum, { size }) => sum + size, 0);
  const says = `${prompt}${text.slice(0, 60).trimEnd()} ...`;
  const figures = [`${(bytes / 1e6).toFixed(2)} MB`, subject.bitsPerWeight.toFixed(2), perplexity.value.toFixed(4)];
  rows.push([weights, ...figures, says]);
}
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
console.log(`\n${rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  ')).join('\n')}`);
console.log(`\nThe reports as pages: ${join(out, 'f32.html')}, ${join(out, 'int4.html')}`);
