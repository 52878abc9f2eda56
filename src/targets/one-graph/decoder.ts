import { UsageError } from '../../core/errors.js';
import type { Pass } from '../../core/graph.js';
import type { ConvertOptions } from '../../core/options.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import { alignPrompts } from '../../passes/align_prompts.js';
import { assignSchemes } from '../../passes/assign_schemes.js';
import { fuseGroupQueryAttention, lowerRotary } from '../../passes/fuse_gqa.js';
import { fuseSkipNorm } from '../../passes/fuse_skip_norm.js';
import { lowerElementwise } from '../../passes/lower_elementwise.js';
import { lowerEmbedding } from '../../passes/lower_embedding.js';
import { lowerExperts } from '../../passes/lower_experts.js';
import { lowerLatentAttention } from '../../passes/lower_latent_attention.js';
import { lowerLinear } from '../../passes/lower_linear.js';
import { lowerRouter } from '../../passes/lower_router.js';
import { padHeads } from '../../passes/pad_heads.js';
import { stampOpsets } from '../../passes/stamp_opsets.js';

/** Opsets of a graph without windows. */
export const OPSETS = { '': 21, 'com.microsoft': 1 };

/** Block sizes that onnxruntime's MatMulNBits and GatherBlockQuantized accept. */
const BLOCK_SIZES = [16, 32, 64, 128, 256];

function checkScheme(flag: string, args: QuantizationArgs, target: string): void {
  if (args.scheme === 'f32' || args.scheme === 'f16') return;
  if (args.scheme !== 'int4' && args.scheme !== 'int8') {
    throw new UsageError(
      `--${flag} ${args.scheme}: the ${target} target runs f32, f16, int8 and int4.`,
      `--${flag} int8, or "halfbyte quantize" for a checkpoint in ${args.scheme}.`,
    );
  }
  if (args.strategy !== 'group' || !BLOCK_SIZES.includes(args.group_size ?? 0)) {
    throw new UsageError(
      `--${flag} ${args.scheme} with group size ${args.group_size ?? 'channel'}: MatMulNBits runs groups of ${BLOCK_SIZES.join(', ')}.`,
      '--group-size 32.',
    );
  }
}

/** Throws a UsageError for schemes that the operators do not run. */
export function checkSchemes(options: ConvertOptions): void {
  const check = (flag: string, args: QuantizationArgs) => checkScheme(flag, args, options.target);
  check('weights', options.weights);
  check('embeddings', options.embeddings);
  check('lm-head', options.lmHead);
  for (const each of options.overrides) check('override', each.scheme);
}

/** Operators of ONNX Runtime that a decoder's graph may hold. */
export const OPERATORS: ReadonlySet<string> = new Set([
  ...[
    'Add',
    'Cast',
    'Concat',
    'Div',
    'Gather',
    'Gelu',
    'Mul',
    'Pad',
    'ReduceSum',
    'Relu',
    'Reshape',
    'Shape',
    'Sigmoid',
  ],
  ...['SimplifiedLayerNormalization', 'Slice', 'Sub', 'Tanh'],
  ...['FusedMatMul', 'GatherBlockQuantized', 'GroupQueryAttention', 'MatMulNBits', 'RotaryEmbedding'].map(
    (op) => `com.microsoft.${op}`,
  ),
  'com.microsoft.SkipSimplifiedLayerNormalization',
  // batches padded on the left
  ...['ArgMax', 'GatherElements', 'GatherND', 'Max', 'Mod', 'Range', 'Unsqueeze'],
  // latent attention
  ...['And', 'BitShift', 'BitwiseAnd', 'LessOrEqual', 'MatMul', 'Softmax', 'Tile', 'Transpose', 'Where'],
  // experts
  ...['Identity', 'OneHot', 'ReduceMax', 'Split', 'TopK', 'com.microsoft.QMoE'],
]);

/** The passes that turn a drawn decoder into one graph with the contrib operators of onnxruntime-genai's builder. */
export function decoderPasses(options: ConvertOptions): Pass[] {
  return [
    assignSchemes(options),
    fuseSkipNorm,
    padHeads,
    lowerLatentAttention(options.mla),
    fuseGroupQueryAttention,
    lowerRotary,
    alignPrompts,
    lowerEmbedding,
    lowerRouter,
    lowerExperts(options.experts),
    lowerLinear(options.accuracyLevel),
    lowerElementwise,
    stampOpsets(OPSETS),
  ];
}
