import type { SemanticOperator } from '../graph/operators.js';
import type { Operator } from './call.js';
import { attention, latentAttention } from './operators/attention.js';
import { activate, add, concat, multiply, positionScale, scale, slice, softcap } from './operators/elementwise.js';
import { embedding } from './operators/embedding.js';
import { experts } from './operators/experts.js';
import { linear } from './operators/linear.js';
import { layerNorm, rmsNorm } from './operators/norm.js';
import { rotary } from './operators/rotary.js';
import { router } from './operators/router.js';

/** Every semantic operator in full precision; their meaning is defined in `graph/operators.ts`. */
export const OPERATORS: Record<SemanticOperator, Operator> = {
  Embedding: embedding,
  RmsNorm: rmsNorm,
  LayerNorm: layerNorm,
  Linear: linear,
  Rotary: rotary,
  Attention: attention,
  LatentAttention: latentAttention,
  Activation: activate,
  Add: add,
  Mul: multiply,
  Scale: scale,
  PositionScale: positionScale,
  Softcap: softcap,
  Slice: slice,
  Concat: concat,
  Router: router,
  Experts: experts,
};

/** Operators whose result at a token depends on other tokens or on its position. */
export const MIXES_TOKENS: ReadonlySet<string> = new Set<SemanticOperator>([
  'Embedding',
  'Rotary',
  'PositionScale',
  'Attention',
  'LatentAttention',
]);
