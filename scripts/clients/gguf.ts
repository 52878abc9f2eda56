// node --import tsx scripts/clients/gguf.ts: GGUF files of every family and type in llama.cpp and @huggingface/gguf; writes
// their part of docs/clients.md
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { readGgufHeader } from '../../src/formats/gguf/reader.js';
import { FILE_TYPES } from '../../src/layouts/gguf/mixes.js';
import { logicalTensorsOf } from '../../src/model/logical-tensors.js';
import { drawGraphs, openModel } from '../../src/model/model.js';
import { evaluate } from '../../src/reference/evaluate.js';
import { storedWeights } from '../../src/reference/stored-weights.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { quantize } from '../../src/stages/quantize.js';
import { randomNumbers, writeRandomCheckpoint } from '../../test/random-checkpoint.js';
import { writeSection } from './section.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'out', 'clients-gguf');
const DOC = join(ROOT, 'docs', 'clients.md');
const CLIENTS = { 'node-llama-cpp': '3.22.1', '@huggingface/gguf': '0.4.6' };

const AMX = 'node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-cpu-sapphirerapids.so';

interface Family {
  fixture: string;
  /** Keys of config.json that llama.cpp does not have as the fixture has them. */
  changes?: JsonObject;
  /** Whether the weights are made anew, since the changes take some away. */
  random?: boolean;
  /** Largest difference in log p of f32; Gemma's gelu is a table of float16 in ggml. */
  bound?: number;
}
const NO_BIAS = { attention_bias: false, mlp_bias: false };
const FULL = new Array(4).fill('full_attention');
const FAMILIES: Family[] = [
  { fixture: 'llama-gqa' },
  { fixture: 'llama-hd8' },
  { fixture: 'llama-linear-v5cfg' },
  { fixture: 'llama-llama3' },
  { fixture: 'llama-dynamic-long' },
  {
    fixture: 'llama-yarn-mscale',
    changes: {
      rope_parameters: {
        rope_theta: 10000,
        rope_type: 'yarn',
        factor: 4,
        original_max_position_embeddings: 32,
        mscale: 1,
        mscale_all_dim: 0.5,
      },
    },
  },
  { fixture: 'mistral-swa' },
  { fixture: 'mistral-layertypes' },
  { fixture: 'mixtral' },
  { fixture: 'qwen2-tied' },
  { fixture: 'qwen2-untied' },
  { fixture: 'qwen3' },
  { fixture: 'qwen3-moe-v5cfg' },
  { fixture: 'phi3' },
  { fixture: 'phi3', changes: { partial_rotary_factor: 0.75, sliding_window: null } },
  { fixture: 'gemma2', changes: { query_pre_attn_scalar: 16 }, bound: 2e-2 },
  {
    fixture: 'gemma3-text',
    changes: { query_pre_attn_scalar: 24, attention_bias: false },
    random: true,
    bound: 2e-2,
  },
  { fixture: 'granite' },
  {
    fixture: 'smollm3-window',
    changes: { ...NO_BIAS, no_rope_layers: [1, 1, 1, 0], sliding_window: null, layer_types: FULL },
    random: true,
  },
  { fixture: 'deepseek-v3' },
  { fixture: 'deepseek-v3-fp8' },
  { fixture: 'union-1.8m' },
];
const TYPES = Object.keys(FILE_TYPES);

function install(): void {
  mkdirSync(FOLDER, { recursive: true });
  if (!existsSync(join(FOLDER, 'package.json'))) writeFileSync(join(FOLDER, 'package.json'), '{"private": true}\n');
  const wanted = Object.entries(CLIENTS).map(([name, version]) => `${name}@${version}`);
  const options = { cwd: FOLDER, stdio: 'inherit' } as const;
  execFileSync('npm', ['install', '--save-exact', '--ignore-scripts', '--no-audit', ...wanted], options);
  // llama.cpp v0.5.0 with AMX ends the process at a product of three axes, which latent attention has
  rmSync(join(FOLDER, AMX), { force: true });
}

/** A vocabulary of bytes: node-llama-cpp loads no file without one. */
function byteTokenizer(): string {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let others = 0;
  const vocab = Object.fromEntries(
    Array.from({ length: 256 }, (_, byte) => [String.fromCharCode(printable(byte) ? byte : 256 + others++), byte]),
  );
  const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const model = { type: 'BPE', vocab, merges: [], byte_fallback: false };
  return JSON.stringify({ version: '1.0', added_tokens: [], pre_tokenizer: level, decoder: level, model });
}

/** The checkpoint of a family, with a tokenizer. */
async function input({ fixture, changes, random }: Family, name: string): Promise<string> {
  const from = join(ROOT, 'fixtures', fixture);
  const to = join(FOLDER, 'checkpoints', name);
  rmSync(to, { recursive: true, force: true });
  const { rope_scaling: _, ...own } = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8')) as JsonObject;
  const config = changes?.rope_parameters
    ? { ...own, ...changes }
    : { ...own, ...(_ ? { rope_scaling: _ } : {}), ...changes };
  if (random) await writeRandomCheckpoint(to, config, 11);
  else cpSync(from, to, { recursive: true });
  writeFileSync(join(to, 'config.json'), JSON.stringify(config));
  if (!existsSync(join(to, 'tokenizer.json'))) writeFileSync(join(to, 'tokenizer.json'), byteTokenizer());
  return to;
}

/** A text that no window cuts, and the logits of a GGUF file at it by the reference engine. */
async function referenceOf(checkpoint: string, file: string, to: string) {
  const original = await openModel(openCheckpoint(checkpoint));
  const windows = ((original.config as unknown as { windows?: number[] }).windows ?? []).filter((each) => each > 0);
  const windowed = original.config.model_type.startsWith('gemma') ? [] : windows;
  const length = Math.min(40, ...windowed);
  const next = randomNumbers(5);
  const ids = Array.from({ length }, () => 3 + Math.floor((next() + 1) * 125));
  const model = await openModel(openCheckpoint(file));
  const graphs = drawGraphs(model, length);
  const files = new InputFiles();
  const { logits } = await evaluate(
    graphs.decoder,
    storedWeights(graphs.decoder, await logicalTensorsOf(model), files),
    [ids],
  );
  files.close();
  writeFileSync(to, new Uint8Array(Float32Array.from(logits as Float32Array).buffer));
  return { ids, vocab: model.config.vocab_size };
}

interface Answer {
  name: string;
  off?: number | null;
  equal?: number;
  of?: number;
  error?: string;
}

function runLlama(cases: object[]): Answer[] {
  const client = fileURLToPath(new URL('llama-client.mjs', import.meta.url));
  const options = { encoding: 'utf8', maxBuffer: 1 << 24, timeout: 600_000 } as const;
  const { stdout } = spawnSync(process.execPath, [client, FOLDER, JSON.stringify(cases)], options);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

/** What @huggingface/gguf finds otherwise in a file than was written. */
async function runParser(file: string): Promise<string | undefined> {
  const { gguf, GGMLQuantizationType } = createRequire(join(FOLDER, 'package.json'))('@huggingface/gguf');
  const { metadata, tensorInfos } = await gguf(file, { allowLocalFile: true });
  const ours = readGgufHeader(file);
  if (Object.keys(ours.metadata).some((key) => !(key in metadata))) return 'keys are missing';
  const theirs = tensorInfos.map((each: { name: string; shape: bigint[]; dtype: number }) =>
    [each.name, GGMLQuantizationType[each.dtype].toLowerCase(), [...each.shape].reverse().join()].join(' '),
  );
  const written = ours.tensors.map(({ name, type, shape }) => [name, type, shape.join()].join(' '));
  return theirs.join('\n') === written.join('\n') ? undefined : 'tensors differ';
}

const describe = ({ off, equal, of, error }: Answer, bound: number) => {
  if (error !== undefined) return `WRONG: ${error.slice(0, 60).replace(/[|\n]/g, ' ')}`;
  const right = typeof off === 'number' && off <= bound;
  return `${right ? '' : 'WRONG: '}${typeof off === 'number' ? off.toExponential(0) : 'no number'}, ${equal}/${of}`;
};

install();
const lines: string[] = [];
let [wrong, parsed, files] = [0, 0, 0];
for (const family of FAMILIES) {
  const name = family.changes ? `${family.fixture}, changed` : family.fixture;
  const folder = name.replace(/\W+/g, '-');
  const checkpoint = await input(family, folder);
  const cases: { name: string; [key: string]: unknown }[] = [];
  for (const weights of TYPES) {
    const output = join(FOLDER, 'models', `${folder}-${weights}`);
    rmSync(output, { recursive: true, force: true });
    const settings = { output, dryRun: false, workers: 0, errors: false };
    const quiet = () => {};
    try {
      await quantize(checkpoint, { layout: 'gguf', weights }, settings, quiet, new AbortController().signal, quiet);
    } catch (error) {
      // no block divides the columns of a tiny model
      if (!(error instanceof UsageError)) throw error;
      continue;
    }
    files++;
    const file = join(output, 'model.gguf');
    copyFileSync(join(checkpoint, 'tokenizer.json'), join(output, 'tokenizer.json'));
    const reference = join(output, 'reference.bin');
    cases.push({ name: weights, file, reference, ...(await referenceOf(checkpoint, file, reference)) });
    const fault = await runParser(file);
    if (fault) console.log(`WRONG: ${name} ${weights}: @huggingface/gguf: ${fault}`);
    if (fault) wrong++;
    else parsed++;
  }
  const answers = runLlama(cases);
  const cells = TYPES.map((type) => {
    if (!cases.some((each) => each.name === type)) return '-';
    const answer = answers.find((each) => each.name === type) ?? { name: type, error: 'the process ended' };
    // other types round activations, to float16, bfloat16 or 8 bits
    return describe(answer, type === 'f32' ? (family.bound ?? 2e-4) : Number.POSITIVE_INFINITY);
  });
  wrong += cells.filter((cell) => cell.startsWith('WRONG')).length;
  lines.push(`| ${name} | ${cells.join(' | ')} |`);
  console.log(lines.at(-1));
  for (const type of TYPES) rmSync(join(FOLDER, 'models', `${folder}-${type}`), { recursive: true, force: true });
}
writeSection(
  DOC,
  '## GGUF',
  `Made by \`node --import tsx scripts/clients/gguf.ts\` on ${new Date().toISOString().slice(0, 10)}: every fixture in every type of
\`quantize --layout gguf\`, loaded by llama.cpp (node-llama-cpp ${CLIENTS['node-llama-cpp']}, its binaries for Linux x64 without
the one for AMX, float32 cache) and held to the
reference engine on the same file, at 40 positions or as many as a window has. A cell is the largest difference in log p, and
how many first choices are equal. f32 is held to 2e-4 (Gemma to 2e-2: ggml's gelu is a table of float16); in the other types llama.cpp
rounds activations as well. "Changed" has settings that llama.cpp has not otherwise; random weights where biases fall away; a dash: no block divides the
columns.
@huggingface/gguf ${CLIENTS['@huggingface/gguf']} reads ${parsed} of ${files} files with the names, types, shapes and keys that were written.

| fixture | ${TYPES.join(' | ')} |
|---|${TYPES.map(() => '---|').join('')}
${lines.join('\n')}
`,
);
process.exitCode = wrong === 0 ? 0 : 1;
