import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('..', import.meta.url));

const registryFolders = ['architectures', 'schemes', 'layouts', 'targets', 'metrics'];
/** Who may import whom: for each layer the other layers that it may use. Files directly in src/ are layers too. */
const allowed: Record<string, string[]> = {
  core: [],
  graph: ['core'],
  blocks: ['graph', 'core'],
  architectures: ['blocks', 'graph', 'core'],
  passes: ['graph', 'core'],
  schemes: ['core'],
  metrics: ['core'],
  layouts: ['schemes', 'core'],
  targets: ['passes', 'graph', 'core'],
  kernels: ['core'],
  formats: ['graph', 'core'],
  registry: [...registryFolders, 'core'],
  sources: ['registry', 'kernels', 'formats', 'core'],
  model: ['blocks', 'registry', 'sources', 'core'],
  places: ['formats', 'core'],
  engine: ['registry', 'sources', 'kernels', 'formats', 'places', 'core'],
  reference: ['registry', 'sources', 'formats', 'graph', 'kernels', 'core'],
  templates: [],
  runtime: ['templates', 'formats', 'core'],
  report: ['core'],
  command: ['report', 'core'],
  guard: ['report', 'core'],
  start: ['report', 'guard', 'places'],
};
/** The folders of verify, each with the others of them and the layers that it may use: none uses what comes after it. */
const verifyFolders: Record<string, { own: string[]; layers: string[] }> = {
  verdict: { own: [], layers: ['registry'] },
  referees: { own: [], layers: ['model', 'reference', 'metrics', 'sources', 'formats'] },
  subject: {
    own: ['referees'],
    layers: ['model', 'reference', 'runtime', 'registry', 'sources', 'formats', 'blocks'],
  },
  tokens: { own: ['referees'], layers: ['runtime', 'metrics', 'formats'] },
  files: {
    own: ['referees', 'subject'],
    layers: ['model', 'runtime', 'engine', 'sources', 'kernels', 'formats'],
  },
  weights: { own: ['subject', 'verdict'], layers: ['sources', 'kernels'] },
  logits: { own: ['referees', 'tokens', 'verdict'], layers: ['reference', 'runtime', 'registry', 'metrics'] },
  structure: {
    own: ['referees', 'subject', 'tokens', 'logits', 'verdict'],
    layers: ['reference', 'runtime', 'metrics', 'formats'],
  },
  faults: {
    own: ['referees', 'subject', 'tokens', 'logits', 'structure', 'verdict'],
    layers: ['reference', 'runtime', 'sources', 'metrics'],
  },
};
const ofVerify = (folders: string[]) => folders.map((folder) => `verify/${folder}`);
for (const [folder, { own, layers }] of Object.entries(verifyFolders)) {
  allowed[`verify/${folder}`] = [...ofVerify(own), ...layers, 'core'];
}
allowed.verify = [...ofVerify(Object.keys(verifyFolders)), 'runtime', 'sources', 'formats', 'core'];
allowed.stages = Object.keys(allowed).filter((layer) => layer !== 'command' && layer !== 'start' && layer !== 'guard');
allowed.library = ['stages', 'core'];
/** The one stage that verifies. */
const callsVerify = 'src/stages/verify.ts';
allowed.commands = ['stages', 'command', 'core'];

const mayReadFiles = ['formats', 'places', 'sources', 'engine', 'kernels', 'report', 'registry'];
const loadsRuntime = ['runtime', 'reference'];
const holdsOnnx = ['src/formats/onnx.ts', 'src/formats/onnx-reader.ts'];
const families = [
  'llama',
  'mistral',
  'mixtral',
  'qwen',
  'deepseek',
  'gemma',
  'phi',
  'gpt',
  'falcon',
  'granite',
  'olmo',
  'cohere',
  'ernie',
  'glm',
  'starcoder2',
  'stablelm',
  'arcee',
  'nemotron',
  'exaone',
  'helium',
];
const devices = ['cpu', 'npu', 'gpu', 'qnn', 'openvino', 'vitisai', 'htp', 'hexagon', 'cuda'];

/** transformers names these after the model that they came with; config.json holds them as a value and as a key of a rope. */
const ropeTypes = /\b(llama3|llama_4_scaling_beta)\b/g;

interface Import {
  /** undefined where the name is computed. */
  specifier: string | undefined;
  isType: boolean;
  isLazy: boolean;
}

interface Source {
  file: string;
  layer: string;
  imports: Import[];
  /** What new URL(..., import.meta.url) is given; undefined where that is computed. */
  ownFiles: (string | undefined)[];
  /** Identifiers and the text of string literals. */
  words: string[];
  usesConsole: boolean;
}

/** Breaks of the rules in one source, as lines that name file and import. `exists` tells whether a file is there. */
function violations({ file, layer, imports, ownFiles, words, usesConsole }: Source): string[] {
  const found: string[] = [];
  const complain = (text: string) => found.push(`${file}: ${text}`);
  if (!allowed[layer]) return [`${file}: ${layer} is no layer of the design`];
  for (const { specifier, isType, isLazy } of imports) {
    if (specifier === undefined) {
      if (layer !== 'registry') complain('imports a computed name, which only the registry may');
      continue;
    }
    if (specifier.startsWith('.')) {
      const target = layerOf(join(dirname(file), specifier));
      if (!specifier.endsWith('.js')) complain(`imports ${specifier}; local imports end in .js`);
      const isOwn = layer !== 'stages' || !/^verify\b/.test(target) || file === callsVerify;
      if (target !== layer && !(allowed[layer].includes(target) && isOwn))
        complain(`${layer} imports ${specifier} (${target})`);
      continue;
    }
    if (specifier === 'onnx-proto' && !holdsOnnx.includes(file)) complain('onnx-proto belongs to formats/onnx.ts');
    if (specifier.startsWith('onnxruntime-node')) {
      if (!loadsRuntime.includes(layer)) complain('onnxruntime-node belongs to runtime and reference');
      else if (!isType && !isLazy) complain('onnxruntime-node is loaded lazily, with import()');
    }
    if (isBuiltin(specifier)) {
      if (!specifier.startsWith('node:')) complain(`imports ${specifier}; write node:${specifier}`);
      const isFileSystem = /^(node:)?fs(\/|$)/.test(specifier);
      if (isFileSystem && !mayReadFiles.includes(layer)) complain(`${layer} imports ${specifier}`);
    }
    if (layer === 'core') complain(`core imports ${specifier}; it imports nothing`);
  }
  for (const path of ownFiles) {
    // scripts/bundle.mjs: built, a module lies in some folder beside that of its layer.
    const isRight = path === undefined ? layer === 'registry' : path.startsWith(`../${layer}/`);
    if (!isRight) complain(`finds ${path ?? 'a file'} by its own URL; write ../${layer}/<file>`);
  }
  if (usesConsole && file.startsWith('src/')) complain('uses console');
  const named = words.map((word) => word.replace(ropeTypes, ''));
  const forbidden = ['graph', 'blocks', 'passes'].includes(layer) ? families : layer === 'architectures' ? devices : [];
  for (const word of named) {
    const name = forbidden.find((each) => containsName(word, each));
    if (name) complain(`names ${name} in ${JSON.stringify(word)}`);
  }
  return found;
}

/** Whether a word has `name` as a part: at its start, or after an underscore, a hump, a dot or a space. */
function containsName(word: string, name: string): boolean {
  const parts = word
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  // Families carry versions (qwen2, phi3), devices do not.
  return parts.some((part) => part === name || new RegExp(`^${name}\\d`).test(part));
}

function layerOf(path: string): string {
  const [top, second, ...rest] = path.split(sep).join('/').split('/');
  if (top !== 'src') return top;
  if (second === 'verify' && rest.length > 1) return `${second}/${rest[0]}`;
  return rest.length > 0 ? second : second.replace(/\.[jt]s$/, '');
}

function scan(file: string, text: string): Source {
  const source: Source = { file, layer: layerOf(file), imports: [], ownFiles: [], words: [], usesConsole: false };
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
  const add = (name: ts.Node | undefined, isType: boolean, isLazy: boolean) =>
    source.imports.push({ specifier: name && ts.isStringLiteralLike(name) ? name.text : undefined, isType, isLazy });
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly ?? false, false);
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) add(node.moduleSpecifier, node.isTypeOnly, false);
    else if (ts.isImportTypeNode(node)) {
      add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true, false);
    } else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) {
      add(node.moduleReference.expression, node.isTypeOnly, false);
    } else if (ts.isCallExpression(node)) {
      const { expression } = node;
      const isImport = expression.kind === ts.SyntaxKind.ImportKeyword;
      const isRequire = ts.isIdentifier(expression) && expression.text === 'require';
      // createRequire(import.meta.url)('name')
      const isCreated = ts.isCallExpression(expression) && expression.expression.getText() === 'createRequire';
      if (isImport || isRequire || isCreated) add(node.arguments[0], false, true);
    }
    if (ts.isNewExpression(node) && node.expression.getText() === 'URL') {
      const [path, base] = node.arguments ?? [];
      if (base?.getText() === 'import.meta.url') {
        source.ownFiles.push(ts.isStringLiteralLike(path) ? path.text : undefined);
      }
    }
    if (ts.isIdentifier(node)) {
      source.words.push(node.text);
      const isMember = ts.isPropertyAccessExpression(node.parent) && node.parent.name === node;
      const isKey = ts.isPropertyAssignment(node.parent) && node.parent.name === node;
      if (node.text === 'console' && !isMember && !isKey) source.usesConsole = true;
      if (node.text === 'console' && isMember) source.usesConsole ||= node.parent.getText() === 'globalThis.console';
    } else if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      source.words.push(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return source;
}

function sourceFiles(): string[] {
  return ['src', 'commands'].flatMap((folder) => {
    if (!existsSync(join(root, folder))) return [];
    const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
    const paths = entries.filter((entry) => entry.isFile() && /\.[mc]?ts$/.test(entry.name));
    const names = paths.map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)));
    // AssemblyScript, compiled by asc on its own: another language with the same ending.
    return names.filter((name) => !name.startsWith(join('src', 'kernels', 'assembly'))).sort();
  });
}

test('every source keeps the import rules', () => {
  const files = sourceFiles();
  assert.ok(files.length > 10, `only ${files.length} sources found`);
  const found = files.flatMap((file) =>
    violations(scan(file.split(sep).join('/'), readFileSync(join(root, file), 'utf8'))),
  );
  assert.equal(found, []);
});

test('the base of all commands loads no heavy module', () => {
  const loaded = new Set<string>();
  const follow = (file: string) => {
    for (const { specifier, isType, isLazy } of scan(file, readFileSync(join(root, file), 'utf8')).imports) {
      if (!specifier || isType || isLazy || loaded.has(specifier)) continue;
      loaded.add(specifier);
      if (specifier.startsWith('.')) follow(join(dirname(file), specifier.replace(/\.js$/, '.ts')));
    }
  };
  follow('src/command.ts');
  const packages = [...loaded].filter((name) => !name.startsWith('.') && !name.startsWith('node:'));
  assert.equal(packages.sort(), ['@oclif/core/command', '@oclif/core/errors', '@oclif/core/flags']);
});

const broken: [file: string, text: string, complaint: RegExp][] = [
  ['src/core/a.ts', `import '../graph/b.js';`, /core imports \.\.\/graph\/b\.js \(graph\)/],
  ['src/core/a.ts', `import { z } from 'zod';`, /core imports zod/],
  ['src/graph/a.ts', `export * from '../passes/b.js';`, /\(passes\)/],
  ['src/graph/a.ts', `import type { B } from '../blocks/b.js';`, /\(blocks\)/],
  ['src/graph/a.ts', `type B = import('../blocks/b.js').B;`, /\(blocks\)/],
  ['src/architectures/a.ts', `await import('../targets/cpu.js');`, /\(targets\)/],
  ['src/passes/a.ts', `import b from '../core/b';`, /end in \.js/],
  ['src/metrics/a.ts', `import b from '../registry.js';`, /\(registry\)/],
  ['src/stages/a.ts', `import { readFileSync } from 'node:fs';`, /stages imports node:fs/],
  ['src/runtime/a.ts', `import { open } from 'node:fs/promises';`, /runtime imports node:fs\/promises/],
  ['src/schemes/a.ts', `import fs from 'fs';`, /write node:fs/],
  ['src/formats/b.ts', `import p from 'onnx-proto';`, /formats\/onnx\.ts/],
  ['src/stages/a.ts', `const ort = await import('onnxruntime-node');`, /runtime and reference/],
  ['src/runtime/a.ts', `import ort from 'onnxruntime-node';`, /lazily/],
  ['src/engine/a.ts', `const b = await import(name);`, /computed/],
  ['src/engine/a.ts', `console.log(1);`, /console/],
  ['src/engine/a.ts', `const { log } = console;`, /console/],
  ['src/blocks/a.ts', `const isQwen2 = config.model_type === 'x';`, /names qwen/],
  ['src/graph/a.ts', 'const x = `the {y} of deepseek_v3`;', /names deepseek/],
  ['src/architectures/llama.ts', `if (device === 'qnn') x();`, /names qnn/],
  ['commands/a.ts', `import { b } from '../src/formats/b.js';`, /\(formats\)/],
  ['commands/a.ts', `import { readFileSync } from 'node:fs';`, /commands imports node:fs/],
  ['src/utils/a.ts', ``, /no layer/],
  ['src/verify/other/a.ts', ``, /verify\/other is no layer/],
  ['src/verify/weights/a.ts', `import '../faults/b.js';`, /verify\/weights imports .*\(verify\/faults\)/],
  ['src/verify/files/a.ts', `import '../verify-package.js';`, /\(verify\)/],
  ['src/verify/a.ts', `import '../stages/model.js';`, /\(stages\)/],
  ['src/stages/quantize.ts', `import '../verify/weights/b.js';`, /\(verify\/weights\)/],
  ['src/engine/a.ts', `import '../model/b.js';`, /\(model\)/],
  ['src/engine/a.ts', `new URL('./b.wasm', import.meta.url);`, /write \.\.\/engine\//],
  ['src/engine/a.ts', `new URL(name, import.meta.url);`, /write \.\.\/engine\//],
];
for (const [file, text, complaint] of broken) {
  test(`finds: ${file}: ${text}`, () => {
    assert.match(violations(scan(file, text)).join('\n'), complaint);
  });
}

test('leaves alone what only looks like a break', () => {
  const text = `// import '../targets/cpu.js'; console.log of llama
    const a = "import '../x'"; const b = { console: 1 }; const philosophy = 'phi-losophical'.length + b.console;`;
  assert.equal(violations(scan('src/engine/a.ts', text)), []);
  assert.equal(violations(scan('src/runtime/a.ts', `import type * as ort from 'onnxruntime-node';`)), []);
  assert.equal(violations(scan('src/engine/a.ts', `new URL('../engine/b.js', import.meta.url);`)), []);
  assert.equal(violations(scan('src/graph/a.ts', `const philosophy = 'mphi'; // as llama does`)), []);
});

test.run();
