// Of the declarations that the type check wrote for every source, keeps those that the library's own lead to: what
// `import 'halfbyte'` means to a compiler, and nothing of the inside.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const types = join(root, 'dist/types');
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const kept = new Set();
keep(join(types, 'src/library/index.d.ts'));
for (const entry of readdirSync(types, { recursive: true })) {
  const file = join(types, entry);
  if (file.endsWith('.d.ts') && !kept.has(file)) rmSync(file);
}

function keep(file) {
  if (kept.has(file)) return;
  kept.add(file);
  for (const { fileName: specifier } of ts.preProcessFile(readFileSync(file, 'utf8')).importedFiles) {
    if (specifier.startsWith('node:') || Object.hasOwn(dependencies, specifier)) continue;
    const target = resolve(dirname(file), specifier.replace(/\.js$/, '.d.ts'));
    // What is installed with halfbyte has its types; nothing else is there for everybody.
    if (!specifier.startsWith('.') || !existsSync(target)) throw new Error(`${file} needs the types of ${specifier}`);
    keep(target);
  }
}
