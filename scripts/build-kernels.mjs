// Compiles the AssemblyScript kernels to WebAssembly: beside the sources for tsx, and into dist for the built program.
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const compiled = 'src/kernels/kernels.wasm';
// A reader never sees half a file: other processes may load the kernels while they are rebuilt.
const unfinished = `${compiled}.${process.pid}.tmp`;

const { error, stderr } = await asc.main(
  [
    ...['src/kernels/assembly/index.ts', '--baseDir', root, '--outFile', unfinished],
    ...['-O3', '--enable', 'simd', '--runtime', 'stub', '--noAssert'],
    ...['--initialMemory', '2', '--maximumMemory', '65536'],
  ],
  {},
);
if (error) {
  console.error(`${stderr.toString()}${error.message}`);
  process.exit(1);
}
renameSync(join(root, unfinished), join(root, compiled));
const copy = join(root, 'dist/kernels/kernels.wasm');
mkdirSync(dirname(copy), { recursive: true });
copyFileSync(join(root, compiled), `${copy}.tmp`);
renameSync(`${copy}.tmp`, copy);
