// Quality of every scheme, algorithm and group size on a model that was really trained: fixtures/union-1.8m, every
// matrix and the tied table quantized, against its own float32 logits on held-out text.
//
//   npx tsx bench/quality.ts [pattern]    prints the table of docs/quantization.md, or the lines that match, such as
//                                         'int4 group 32  mse' (symmetric) or 'asymmetric hqq'
//   npx tsx bench/quality.ts --write      puts it between the marks in docs/quantization.md
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Graph } from '../src/core/graph.js';
import type { Packed, QuantizationArgs } from '../src/core/scheme.js';
import { openCheckpoint } from '../src/formats/checkpoint.js';
import { readTokenizerFiles } from '../src/formats/tokenizer-files.js';
import klDivergence from '../src/metrics/kl_divergence.js';
import klDivergenceP99 from '../src/metrics/kl_divergence_p99.js';
import { perPosition } from '../src/metrics/math/positions.js';
import { textWindows } from '../src/metrics/math/windows.js';
import perplexity from '../src/metrics/perplexity.js';
import top1Agreement from '../src/metrics/top1_agreement.js';
import { logicalTensors } from '../src/model/logical-tensors.js';
import { drawGraphs, openModel } from '../src/model/model.js';
import { evaluate } from '../src/reference/evaluate.js';
import { storedWeights } from '../src/reference/stored-weights.js';
import { readWhole, type WeightLookup } from '../src/reference/weights.js';
import { find, ids } from '../src/registry.js';
import { openTokenizer } from '../src/runtime/tokenizer.js';
import { InputFiles } from '../src/sources/input-files.js';
import { root } from './measure.js';

const FOLDER = join(root, 'fixtures/union-1.8m');
const WINDOWS = 64;
const GROUP_SIZES = [16, 32, 64, 128];
const ALGORITHMS = ['rtn', 'mse', 'kquant', 'hqq'] as const;
const MARKS = ['<!-- table of bench/quality.ts -->', '<!-- end of table -->'];

interface Quality {
  kl: number;
  klP99: number;
  top1: number;
  perplexity: number;
  bitsPerWeight: number;
}

/** A weight that stands in memory. */
const inMemory = (rows: number, cols: number, values: Float32Array) => ({
  rows,
  cols,
  readFloat32(from: number, count: number, out: Float32Array) {
    out.set(values.subarray(from * cols, (from + count) * cols));
  },
});

/** The same weights after a round trip through a scheme, matrices alone; counts values and bytes of what it packs. */
function quantized(graph: Graph, weights: WeightLookup, args: QuantizationArgs) {
  const size = { values: 0, bytes: 0 };
  const done = new Map<string, ReturnType<typeof inMemory>>();
  const lookup: WeightLookup = async (name) => {
    const known = done.get(name);
    if (known) return known;
    const weight = await weights(name);
    if (graph.weights[name].role === 'float') return weight;
    const scheme = (await find('schemes', args.scheme))!;
    const { rows, cols } = weight;
    const values = await readWhole(weight);
    await weight.close?.();
    const packed: Packed = {};
    for (const [part, { nbytes }] of Object.entries(scheme.layout(rows, cols, args))) {
      packed[part] = new Uint8Array(nbytes);
      size.bytes += nbytes;
    }
    size.values += rows * cols;
    scheme.quantize(values, cols, args, packed);
    scheme.dequantize(packed, rows, cols, args, values);
    done.set(name, inMemory(rows, cols, values));
    return done.get(name)!;
  };
  return { lookup, size };
}

async function openUnion() {
  const checkpoint = openCheckpoint(FOLDER);
  const graph = drawGraphs(await openModel(checkpoint), 256).decoder;
  const logical = await logicalTensors(checkpoint);
  const tokenizer = await openTokenizer(readTokenizerFiles(FOLDER)!, FOLDER);
  const text = readFileSync(join(FOLDER, 'heldout.txt'), 'utf8');
  const encoded = await tokenizer.encodePlain(text);
  const { sequences, targets } = textWindows(encoded, { length: 256, leading: 0, count: WINDOWS });
  const stored = (files: InputFiles) => storedWeights(graph, logical, files);
  const files = new InputFiles();
  const reference = (await evaluate(graph, stored(files), sequences)).logits;
  files.close();
  const vocabulary = reference.length / targets.length;

  return async function measure(args: QuantizationArgs): Promise<Quality> {
    const inputs = new InputFiles();
    const { lookup, size } = quantized(graph, stored(inputs), args);
    const { logits } = await evaluate(graph, lookup, sequences);
    inputs.close();
    const by = (metric: typeof klDivergence) => metric.measure(reference, logits, vocabulary, targets);
    const divergences = perPosition(klDivergence, reference, logits, vocabulary);
    return {
      kl: klDivergence.summary(divergences),
      klP99: klDivergenceP99.summary(divergences),
      top1: by(top1Agreement),
      perplexity: by(perplexity),
      bitsPerWeight: (8 * size.bytes) / size.values,
    };
  };
}

/** Every combination of settings that a scheme accepts, with what the table calls it. */
async function settings(): Promise<{ label: string[]; args: QuantizationArgs }[]> {
  const all: { label: string[]; args: QuantizationArgs }[] = [];
  for (const id of ids('schemes')) {
    const scheme = (await find('schemes', id))!;
    const extents: Partial<QuantizationArgs>[] = [
      ...GROUP_SIZES.map((group_size) => ({ strategy: 'group' as const, group_size })),
      { strategy: 'channel' },
      { strategy: 'block', block_structure: [128, 128] },
      { strategy: 'tensor' },
    ];
    for (const extent of extents) {
      for (const symmetric of [true, false]) {
        for (const algorithm of ALGORITHMS) {
          const { group_size: _, ...defaults } = scheme.defaults;
          const args: QuantizationArgs = { ...defaults, ...extent, symmetric, algorithm };
          try {
            scheme.check(args);
          } catch {
            continue;
          }
          // a value by itself has no extent
          if (!('scales' in scheme.layout(1, 256, args)) && extent.strategy !== 'tensor') continue;
          const where = args.strategy === 'group' ? `group ${args.group_size}` : args.strategy;
          all.push({ label: [id, where, symmetric ? '' : 'asymmetric', algorithm], args });
        }
      }
    }
  }
  return all;
}

const [asked] = process.argv.slice(2);
const write = asked === '--write';
const measure = await openUnion();
const lines = [
  '| scheme | scale for each | | algorithm | bits per weight | mean KL | p99 KL | top-1 | perplexity |',
  '|---|---|---|---|---|---|---|---|---|',
];
if (!write) console.log(lines.join('\n'));
for (const { label, args } of await settings()) {
  if (asked && !write && !new RegExp(asked).test(label.join(' '))) continue;
  const { kl, klP99, top1, perplexity: ppl, bitsPerWeight } = await measure(args);
  const figures = [bitsPerWeight.toFixed(2), kl.toFixed(5), klP99.toFixed(4), top1.toFixed(4), ppl.toFixed(3)];
  const line = `| ${[...label, ...figures].join(' | ')} |`;
  lines.push(line);
  if (!write) console.log(line);
}
if (write) {
  const file = join(root, 'docs/quantization.md');
  const [before, rest] = readFileSync(file, 'utf8').split(MARKS[0]);
  const after = rest.split(MARKS[1])[1];
  writeFileSync(file, `${before}${MARKS[0]}\n\n${lines.join('\n')}\n\n${MARKS[1]}${after}`);
}
