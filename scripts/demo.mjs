import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setup } from './setup.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const checkpoint = join('fixtures', 'union-1.8m');
const golden = join(checkpoint, 'golden.safetensors');
const heldout = join(checkpoint, 'heldout.txt');
const out = join('out', 'demo');

/** Runs a command of halfbyte in the project's root, showing it as a user would type it. */
function halfbyte(...args) {
  console.log(`\n$ halfbyte ${args.map((each) => (/[ ,]/.test(each) ? `'${each}'` : each)).join(' ')}`);
  const { status } = spawnSync(process.execPath, [join('bin', 'run.js'), ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 4);
}

await setup();
rmSync(join(root, out), { recursive: true, force: true });

console.log('\nunion-1.8m is a small model trained on the State of the Union addresses.');
for (const weights of ['f32', 'int4']) {
  const directory = join(out, weights);
  halfbyte('convert', checkpoint, '-o', directory, '--weights', weights);
  halfbyte('verify', directory, '--reference', golden, '--text', heldout, '--windows', '64');
  halfbyte('generate', directory, '-p', 'My fellow Americans,', '--greedy', '--max-new-tokens', '60');
}
