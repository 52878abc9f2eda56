// Bundles the program into dist, with what it uses of its dependencies: found, read and compiled one by one, the 190
// files that starting a conversion loads took longer than all that they do before the first weight is read.
// Every file of dist lies one folder deep. A module that finds a file by its own URL therefore names it as
// ../<folder>/<file>, which holds in the sources and wherever esbuild puts the module.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
/** Entry points that load what they need by themselves: nothing goes together with them. */
const alone = [
  { in: 'src/start.ts', out: 'bin/start' },
  { in: 'src/library/index.ts', out: 'library/index' },
];
// Found by the names of their files, so they keep them: by oclif, by the registry and by the engine.
const named = [
  ...modulesIn('commands').map((file) => ({ in: file, out: withoutEnding(file) })),
  ...['architectures', 'schemes', 'layouts', 'targets', 'metrics'].flatMap((folder) =>
    modulesIn(`src/${folder}`).map((file) => ({ in: file, out: withoutEnding(file.slice('src/'.length)) })),
  ),
  { in: 'src/engine/worker.ts', out: 'engine/worker' },
  { in: 'src/runtime/tokenizer-process.ts', out: 'runtime/tokenizer-process' },
];

/**
 * Modules that become one chunk each time: esbuild puts together what the same entry points reach, and of some 100 entry
 * points no two reach the same, so that most modules would end in a chunk of their own. `of` says whose entry points
 * import all of them.
 */
const together = [
  {
    of: /./,
    modules: [
      ...['src/engine/unit-runner.ts', 'src/kernels/kernels.ts', 'src/report/failure.ts'],
      ...['src/core', 'src/graph', 'src/schemes', 'src/schemes/arithmetic'].flatMap(modulesIn),
    ],
  },
  { of: /^src\/architectures\//, modules: modulesIn('src/blocks') },
  { of: /^src\/stages\//, modules: ['src/stages/convert.ts'] },
];

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: [...alone, ...named],
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.11',
  plugins: [{ name: 'together', setup: importTogether }],
  // onnxruntime-node and tokenizers are native; typescript is what oclif would compile sources with, if it were asked to.
  external: ['onnxruntime-node', 'tokenizers', 'typescript'],
  // For CommonJS: require() of Node's modules.
  banner: { js: "import { createRequire as from } from 'node:module';\nconst require = from(import.meta.url);" },
  // Less text is found sooner to be nothing but definitions; names stay, so that a stack trace is worth reading.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
// Which sources each file holds, for the test of what starting loads.
const contents = Object.entries(metafile.outputs).map(([file, { inputs }]) => [file, Object.keys(inputs)]);
writeFileSync(join(root, 'dist/.contents.json'), JSON.stringify(Object.fromEntries(contents)));
writeFileSync(join(root, 'dist/third-party-licenses.txt'), licenses(Object.keys(metafile.inputs)));

/** Puts before each entry point, and each module that is loaded lazily, the imports of what goes together with it. */
function importTogether({ onResolve, onLoad }) {
  onResolve({ filter: /./ }, ({ path, kind, importer, resolveDir }) => {
    if (kind !== 'entry-point' && (kind !== 'dynamic-import' || !path.startsWith('.'))) return undefined;
    const file = resolve(resolveDir, path).replace(/\.js$/, '.ts');
    const isOurs =
      importer === '' || importer.startsWith(join(root, 'src')) || importer.startsWith(join(root, 'commands'));
    const isAlone = alone.some((entry) => file === join(root, entry.in));
    return isOurs && !isAlone ? { path: file, namespace: 'entry' } : undefined;
  });
  onLoad({ filter: /./, namespace: 'entry' }, ({ path }) => {
    const file = relative(root, path).split(sep).join('/');
    const modules = together.filter(({ of }) => of.test(file)).flatMap(({ modules }) => modules);
    const imports = modules.map((module) => `import ${JSON.stringify(`./${module}`)};`);
    const hasDefault = /^export default /m.test(readFileSync(path, 'utf8'));
    const own = `export ${hasDefault ? '{ default }' : '*'} from ${JSON.stringify(`./${file}`)};`;
    return { contents: [...imports, own].join('\n'), resolveDir: root };
  });
}

function modulesIn(folder) {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts'));
  return files.map(({ name }) => `${folder}/${name}`).sort();
}

function withoutEnding(file) {
  return file.slice(0, -'.ts'.length);
}

/** The licenses of the packages that the bundle holds parts of, as most of them ask for. */
function licenses(inputs) {
  const packages = inputs.flatMap((file) => file.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? []);
  const texts = [...new Set(packages)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const file = readdirSync(join(root, folder)).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? readFileSync(join(root, folder, file), 'utf8').trim() : `License: ${license}`;
    return `${name} ${version}\n\n${text}\n`;
  });
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}
