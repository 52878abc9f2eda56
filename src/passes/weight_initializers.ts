import type { Weight } from '../core/graph.js';
import type { QuantizationArgs } from '../core/scheme.js';
import type { Replacement } from '../graph/rewrite.js';

/** The weight that a semantic node names, with its assigned scheme. */
export function assigned(into: Replacement, name: string): Weight & { scheme: QuantizationArgs } {
  const weight = into.graph.graph.weights[name];
  if (!weight?.scheme) throw new Error(`${into.node.name}: weight ${name} has no scheme`);
  return weight as Weight & { scheme: QuantizationArgs };
}

/** Bits of an integer scheme, or undefined for a float one. */
export function integerBits(args: QuantizationArgs): 4 | 8 | undefined {
  return args.scheme === 'int4' ? 4 : args.scheme === 'int8' ? 8 : undefined;
}

/**
 * A weight as a float32 value of the graph, in the shape that the drawing gave it or in `shape`. A float16 weight stays
 * float16 in the data file and is widened by a Cast, which the runtime folds when it loads the model.
 */
export function floatWeight(into: Replacement, name: string, shape?: number[]): string {
  const weight = assigned(into, name);
  const dims = shape ?? weight.shape;
  const content = { weight: name, part: 'codes' };
  if (weight.scheme.scheme === 'f32') return into.graph.initializer(name, 'FLOAT', dims, content);
  if (weight.scheme.scheme !== 'f16') throw new Error(`${name}: ${weight.scheme.scheme} is no float scheme`);
  const half = into.graph.initializer(name, 'FLOAT16', dims, content);
  return into.onnx('Cast', `${into.node.name}/weight_Cast`, [half], { to: 1 });
}

/** The inputs of MatMulNBits and GatherBlockQuantized that come from one weight of a block-wise integer scheme. */
export interface BlockWeight {
  bits: 4 | 8;
  blockSize: number;
  /** Blocks in a row: ceil(columns / blockSize). */
  blocks: number;
  codes: string;
  scales: string;
  /** '' where the scheme is symmetric. */
  zeroPoints: string;
}

/**
 * The parts of a block-wise integer weight [rows, cols]: codes uint8 [rows, blocks, blockSize * bits / 8], or
 * [rows, blocks * blockSize * bits / 8] where `flat`; scales float32 [rows, blocks] (float16 ones through a Cast);
 * zero points uint8 [rows, ceil(blocks * bits / 8)].
 */
export function blockWeight(into: Replacement, name: string, flat = false): BlockWeight {
  const { scheme, shape } = assigned(into, name);
  const bits = integerBits(scheme);
  const blockSize = scheme.group_size;
  if (!bits || !blockSize) throw new Error(`${name}: ${scheme.scheme} is no block-wise integer scheme`);
  const rows = shape.slice(0, -1).reduce((product, each) => product * each, 1);
  const blocks = Math.ceil(shape[shape.length - 1] / blockSize);
  const blob = (blockSize * bits) / 8;
  const { graph, node } = into;
  const half = scheme.scale_dtype === 'F16';
  const stored = graph.initializer(`${name}_scales`, half ? 'FLOAT16' : 'FLOAT', [rows, blocks], {
    weight: name,
    part: 'scales',
  });
  return {
    bits,
    blockSize,
    blocks,
    codes: flat
      ? graph.initializer(`${name}_Q${bits}_rows`, 'UINT8', [rows, blocks * blob], { weight: name, part: 'codes' })
      : graph.initializer(`${name}_Q${bits}`, 'UINT8', [rows, blocks, blob], { weight: name, part: 'codes' }),
    scales: half ? into.onnx('Cast', `${node.name}/scales_Cast`, [stored], { to: 1 }) : stored,
    zeroPoints: scheme.symmetric
      ? ''
      : graph.initializer(`${name}_zero_points`, 'UINT8', [rows, Math.ceil((blocks * bits) / 8)], {
          weight: name,
          part: 'zero_points',
        }),
  };
}
