// npm run test:clients: real clients from the npm registry on packages of the fixtures; writes their section of docs/clients.md
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInBrowser } from './browser-client.mjs';
import { writeSection } from './section.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'out', 'clients');
const CLIENTS = { '@huggingface/transformers': '4.3.2' };
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const FAMILIES = [
  'llama-gqa',
  'llama-hd8',
  'llama-linear-v5cfg',
  'mistral-swa',
  'phi3',
  'qwen2-tied',
  'qwen2-untied',
  'qwen2-window',
  'qwen3',
];
const FORMATS = [
  { format: 'web, f32', flags: ['--weights', 'f32', '--embeddings', 'f32'], tolerance: 2e-4, browser: true },
  { format: 'web, fp16', flags: ['--weights', 'f16', '--activations', 'f16'], tolerance: 0.1, browser: true },
];

function install() {
  mkdirSync(FOLDER, { recursive: true });
  if (!existsSync(join(FOLDER, 'package.json'))) writeFileSync(join(FOLDER, 'package.json'), '{"private": true}\n');
  const wanted = Object.entries(CLIENTS).map(([name, version]) => `${name}@${version}`);
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  execFileSync('npm', ['install', '--save-exact', '--ignore-scripts', ...wanted], {
    cwd: FOLDER,
    env,
    stdio: 'inherit',
  });
}

function convert(family, { format, flags }) {
  const name = `${family}-${format.replace(/\W+/g, '-')}`;
  const dir = join(FOLDER, 'packages', name);
  const checkpoint = join(ROOT, 'fixtures', family);
  rmSync(dir, { recursive: true, force: true });
  execFileSync(process.execPath, [
    join(ROOT, 'bin', 'run.js'),
    'convert',
    checkpoint,
    '-o',
    dir,
    '--target',
    'web',
    ...flags,
    '--quiet',
  ]);
  return { name, family, dir, golden: join(checkpoint, 'golden.safetensors') };
}

/** Rows of transformers.js in Node, in a process of its own: a missing file ends it. */
function runInNode(cases) {
  const client = fileURLToPath(new URL('node-client.mjs', import.meta.url));
  const { stdout } = spawnSync(process.execPath, [client, FOLDER, JSON.stringify(cases)], {
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  });
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

const describe = (row, tolerance) => {
  if (!row) return 'no answer';
  if (row.error) return row.error.slice(0, 80).replace(/[|\n]/g, ' ');
  const verdict = row.off <= tolerance && row.equal === row.of ? '' : 'WRONG: ';
  return `${verdict}${row.equal} of ${row.of} tokens, ${row.off.toExponential(1)}`;
};

install();
const browser = BROWSERS.find((each) => existsSync(each));
const version = browser
  ? execFileSync(browser, ['--version'], { encoding: 'utf8' }).trim().split(' ').slice(0, 2).join(' ')
  : undefined;
const lines = [];
let wrong = 0;
for (const format of FORMATS) {
  const cases = FAMILIES.map((family) => convert(family, format));
  const inNode = runInNode(cases);
  const inBrowser = browser ? await runInBrowser(browser, FOLDER, cases) : [];
  for (const { name, family } of cases) {
    const told = [inNode, ...(browser ? [inBrowser] : [])].map((rows) =>
      describe(
        rows.find((row) => row.name === name),
        format.tolerance,
      ),
    );
    wrong += told.filter((each) => !/^\d/.test(each)).length;
    lines.push(`| ${family} | ${format.format} | ${told[0]} | ${browser ? told[1] : 'not run'} |`);
  }
}
const table = [
  `| fixture | package | transformers.js ${CLIENTS['@huggingface/transformers']}, Node ${process.versions.node.split('.')[0]} | the same in ${version ?? 'a browser'}, WebAssembly |`,
  '|---|---|---|---|',
  ...lines,
].join('\n');
console.log(table);
writeSection(
  join(ROOT, 'docs', 'clients.md'),
  '## transformers.js',
  `Made by \`npm run test:clients\` on ${new Date().toISOString().slice(0, 10)}. Each package is loaded as \`convert --target web\` wrote it, nothing renamed, no\noption given but the folder (and \`device: 'wasm'\` in the browser). Held to transformers' greedy tokens, and to its logits:\nthe figure is the largest difference.\n\n${table}\n`,
);
process.exitCode = wrong === 0 ? 0 : 1;
