import type { Graph } from '../../core/graph.js';
import type { Manifest } from '../../formats/manifest.js';

/**
 * `exact`: float arithmetic, 2e-4. Otherwise activations are rounded on the way, and the root mean square of the
 * logits' error over that of the logits may be `relative`: how it is derived stands at `allowanceOf`.
 */
export interface Allowance {
  isExact: boolean;
  relative: number;
  reason: string;
}

/** Greatest value of a block over its root mean square: 2.2 for 32 normal values, up to 4 for activations of language models. */
const CREST = 4;

/** Errors add up as if independent; measured ones stay below half of what that gives. */
const SAFETY = 2;

const boundOf = (levels: number, products: number) =>
  ((SAFETY * CREST) / (levels * Math.sqrt(12))) * Math.sqrt(products);

/** The same of a package without manifest, as its graphs say how they compute. */
export function allowanceOfGraphs(graphs: Graph[]): Allowance {
  const nodes = graphs.flatMap((graph) => graph.nodes);
  const products = nodes.filter(({ op }) => /^(MatMul|MatMulNBits|Gemm|Conv|QMoE|MatMulInteger)$/.test(op)).length;
  const types = graphs.flatMap(({ inputs, outputs }) => [...inputs, ...outputs].map(({ dtype }) => dtype));
  const level = Math.max(0, ...nodes.map(({ attributes }) => Number(attributes.accuracy_level ?? 0)));
  if (nodes.some(({ op }) => op === 'QuantizeLinear' || op === 'DynamicQuantizeLinear') || level === 4) {
    return { isExact: false, relative: boundOf(127, products), reason: `int8 activations before ${products} products` };
  }
  if (types.includes('FLOAT16') || types.includes('BFLOAT16')) {
    return { isExact: false, relative: boundOf(1024, products), reason: `16-bit values before ${products} products` };
  }
  return { isExact: true, relative: 0, reason: '' };
}

/**
 * What rounding of activations may do to the logits. A symmetric grid of n steps to the block's greatest value has a
 * step of max / n and, uniform within a step, an error of CREST / (n sqrt(12)) of the values' root mean square. Each
 * product passes that share on to its result, and the errors of the products before the logits add in squares:
 * SAFETY * CREST / (n sqrt(12)) * sqrt(products).
 */
export function allowanceOf(manifest: Manifest, drawn: Graph): Allowance {
  const { accuracyLevel, activations, target } = manifest.options;
  const all = drawn.nodes.filter(({ op }) => op === 'Linear' || op === 'Experts').length;
  const isFloatPipeline = target !== 'cpu' && activations === 'f32';
  // Between the ends of a pipeline products are convolutions in float; its head alone is block-quantized.
  const products = isFloatPipeline ? 1 : all;
  const bound = (levels: number) => boundOf(levels, products);
  const isInteger = Object.values(manifest.tensors).some((tensors) =>
    Object.values(tensors).some(({ scheme }) => scheme.scheme === 'int4' || scheme.scheme === 'int8'),
  );
  if (target !== 'cpu' && activations === 'uint16') {
    // Ranges of uint16 activations are those of a calibration, not of the block at hand: 2^8 of its 2^16 steps are used.
    return { isExact: false, relative: bound(256), reason: `uint16 activations before ${products} products` };
  }
  if (target !== 'cpu' && activations === 'f16') {
    return { isExact: false, relative: bound(1024), reason: `float16 activations before ${products} products` };
  }
  if (accuracyLevel === 4 && isInteger) {
    return { isExact: false, relative: bound(127), reason: `int8 activations before ${products} products` };
  }
  return { isExact: true, relative: 0, reason: '' };
}
