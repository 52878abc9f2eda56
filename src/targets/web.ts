import { InvalidInputError, UsageError } from '../core/errors.js';
import type { Pass } from '../core/graph.js';
import type { ConvertOptions } from '../core/options.js';
import type { Target } from '../core/target.js';
import { pass } from '../graph/pass.js';
import { float } from '../graph/rewrite.js';
import { FLOAT16 } from '../passes/assign_schemes.js';
import { halfActivations } from '../passes/half_activations.js';
import { checkSchemes, decoderPasses, OPERATORS, OPSETS } from './one-graph/decoder.js';

/** Browsers hold no array of 2 GiB (2^31 - 1 bytes). */
const MOST_BYTES = 2_000_000_000;

/** transformers.js' names of model files by what is in them (src/utils/dtypes.js, 4.3.2). */
const SUFFIXES: Record<string, string> = { int4: '_q4', int8: '_quantized', f16: '_fp16', f32: '' };
const HALF_SUFFIXES: Record<string, string> = { int4: '_q4f16', f16: '_fp16' };

const suffixOf = ({ weights, activations }: ConvertOptions) =>
  (activations === 'f16' ? HALF_SUFFIXES : SUFFIXES)[weights.scheme];

function refuse({ name }: { name: string }, what: string): never {
  throw new InvalidInputError(
    `${name}: ${what}; a browser would not run this model, or would run it wrongly.`,
    'convert it with --target cpu.',
  );
}

/** What ONNX Runtime Web's WebGPU provider does not run, or runs wrongly without a word. */
const refuseForBrowsers = (options: ConvertOptions): Pass =>
  pass({ name: 'refuse_for_browsers', removes: ['halfbyte.Experts'], leaves: [] }, (graph) => {
    for (const node of graph.nodes) {
      if (node.domain !== 'halfbyte') continue;
      if (node.op === 'Experts') refuse(node, 'WebGPU has neither QMoE with router weights nor room for their buffers');
      if (node.op === 'Attention' && float(node, 'softcap') !== 0) refuse(node, 'WebGPU ignores soft caps of scores');
      if (node.op === 'LatentAttention' && options.activations === 'f16') {
        refuse(node, 'its mask has no float16 form; --activations f32 has');
      }
    }
    return graph;
  });

/**
 * transformers.js and ONNX Runtime Web, in WebAssembly and on WebGPU: the graph of the CPU under the Hub's names, with
 * embeddings as floats, since GatherBlockQuantized is not in the WebGPU builds, and data files that browsers can hold.
 */
export default {
  defaults: { embeddings: FLOAT16, activations: 'f32' },
  opsets: OPSETS,
  operators: OPERATORS,
  transformersJs: true,

  check(options) {
    checkSchemes(options);
    const { embeddings, activations, weights } = options;
    if (embeddings.scheme !== 'f16' && embeddings.scheme !== 'f32') {
      throw new UsageError(
        `--embeddings ${embeddings.scheme}: browsers have f16 and f32; ONNX Runtime Web's WebGPU builds lack GatherBlockQuantized.`,
        '--embeddings f16.',
      );
    }
    if (activations === 'uint16' || suffixOf(options) === undefined) {
      throw new UsageError(
        `--activations ${activations} with --weights ${weights.scheme}: transformers.js has no name for that.`,
        '--activations f32, or f16 with --weights int4 or f16.',
      );
    }
  },

  stages(options, drawn) {
    if (drawn !== 'decoder') return [];
    const file = `onnx/model${suffixOf(options)}.onnx`;
    const half = options.activations === 'f16' ? [halfActivations] : [];
    const passes = [refuseForBrowsers(options), ...decoderPasses(options), ...half];
    return [{ file, dataFile: `${file}_data`, maxDataBytes: MOST_BYTES, passes }];
  },
} satisfies Target;
