import { InvalidInputError } from '../../core/errors.js';
import type { Pass, ValueRange } from '../../core/graph.js';
import type { JsonObject } from '../../core/json.js';
import type { ConvertOptions } from '../../core/options.js';
import type { TargetStage } from '../../core/target.js';
import { pass } from '../../graph/pass.js';
import { activationQdq, withRanges } from '../../passes/activation_qdq.js';
import { assignSchemes } from '../../passes/assign_schemes.js';
import { fuseGroupQueryAttentionStatic } from '../../passes/fuse_gqa_static.js';
import { halfActivations } from '../../passes/half_activations.js';
import { lowerAttentionStatic, type StaticSizes } from '../../passes/lower_attention_static.js';
import { lowerElementwise } from '../../passes/lower_elementwise.js';
import { lowerEmbedding } from '../../passes/lower_embedding.js';
import { lowerLinear } from '../../passes/lower_linear.js';
import { lowerLinearToConv, signedCodes } from '../../passes/lower_linear_conv.js';
import { lowerNorm } from '../../passes/lower_norm.js';
import { lowerRotaryByGather } from '../../passes/lower_rotary_gather.js';
import { padHeads } from '../../passes/pad_heads.js';
import { splitEnds } from '../../passes/split_ends.js';
import { stampOpsets } from '../../passes/stamp_opsets.js';
import { staticShapes } from '../../passes/static_shapes.js';

/** Opsets of every graph of a pipeline: 21 is the first with int4 and block_size. */
export const PIPELINE_OPSETS = { '': 21, 'com.microsoft': 1 };

const setOpsets = stampOpsets(PIPELINE_OPSETS);

/** Operators of the layers that have no static form here. */
const WITHOUT_STATIC_FORM = ['LatentAttention', 'Router', 'Experts'];

const STATIC_LAYERS = {
  name: 'refuse_dynamic_layers',
  removes: WITHOUT_STATIC_FORM.map((op) => `halfbyte.${op}`),
  leaves: [],
};

const refuseDynamicLayers = pass(STATIC_LAYERS, (graph) => {
  const found = graph.nodes.find((node) => WITHOUT_STATIC_FORM.includes(node.op));
  if (!found) return graph;
  throw new InvalidInputError(
    `${found.name}: the layers of this model use ${found.op}, which has no form as a static graph.`,
    'convert it with --target cpu.',
  );
});

/** The passes that turn a drawn decoder into a static graph of its layers for calls of `tokens` tokens. */
function layerPasses(options: ConvertOptions, tokens: number, ranges: Record<string, ValueRange> | undefined): Pass[] {
  const sizes: StaticSizes = { tokens, contextLength: options.contextLength };
  const quantized = options.activations === 'uint16';
  return [
    assignSchemes(options),
    ...(quantized && ranges ? [withRanges(ranges)] : []),
    splitEnds('layers'),
    refuseDynamicLayers,
    staticShapes({ batch_size: 1, sequence_length: tokens }),
    signedCodes,
    ...(options.attention === 'gqa'
      ? [padHeads, fuseGroupQueryAttentionStatic(sizes)]
      : [lowerAttentionStatic(sizes, quantized)]),
    lowerRotaryByGather(tokens),
    lowerNorm,
    lowerLinearToConv,
    lowerElementwise,
    ...(quantized ? [activationQdq] : []),
    ...(options.activations === 'f16' ? [halfActivations] : []),
    setOpsets,
  ];
}

/**
 * The four graphs of a decoder pipeline: embeddings and LM head with symbolic lengths for the CPU, the layers twice,
 * for a prompt window and for one token, on one data file. A table that serves both ends is stored once.
 */
export function pipelineStages(
  options: ConvertOptions,
  drawn: string,
  ranges: Record<string, ValueRange> | undefined,
  sessionOptions: JsonObject,
): TargetStage[] {
  if (drawn !== 'decoder') return [];
  const layers = (name: string, tokens: number): TargetStage => ({
    file: `${name}.onnx`,
    dataFile: 'transformer.onnx.data',
    passes: layerPasses(options, tokens, ranges),
    pipeline: {
      name,
      ...(tokens === 1 ? { run_on_prompt: false } : { run_on_token_gen: false }),
      session_options: sessionOptions,
    },
  });
  return [
    {
      file: 'embeddings.onnx',
      dataFile: 'embeddings.onnx.data',
      passes: [assignSchemes(options), splitEnds('embeddings'), lowerEmbedding, lowerElementwise, setOpsets],
      pipeline: { name: 'embeddings' },
    },
    layers('context', options.prefill),
    layers('iterator', 1),
    {
      file: 'lm_head.onnx',
      dataFile: 'lm_head.onnx.data',
      passes: [
        assignSchemes(options),
        splitEnds('head'),
        lowerLinear(options.accuracyLevel),
        lowerElementwise,
        setOpsets,
      ],
      pipeline: { name: 'lm_head', is_lm_head: true },
    },
  ];
}
