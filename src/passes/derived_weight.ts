import type { QuantizationArgs } from '../core/scheme.js';
import type { WeightSource } from '../core/weights.js';
import type { Replacement } from '../graph/rewrite.js';
import { assigned, floatWeight, integerBits } from './weight_initializers.js';

/**
 * A weight made of a drawn one: `source` with the drawn one's role and scheme, unless it gets its own. Rows keep their
 * codes and scales, since every scheme of a target works along the rows. Returns its name.
 */
export function derivedWeight(
  into: Replacement,
  of: string,
  name: string,
  source: WeightSource,
  shape: number[],
  ownScheme?: QuantizationArgs,
): string {
  const { scheme, role } = assigned(into, of);
  return into.graph.weight({ name, source, shape, role, scheme: ownScheme ?? scheme });
}

/**
 * A weight [rows, cols] of any scheme as a float32 value of `shape`, for operators without an integer form. Integer
 * codes are taken apart by operators that onnxruntime folds as it loads the model: after that only the floats exist.
 * (DequantizeLinear and GatherBlockQuantized are not folded: 5 ms a call for 2048 x 512.)
 */
export function unpackedWeight(into: Replacement, name: string, shape: number[]): string {
  const { scheme, shape: stored } = assigned(into, name);
  const bits = integerBits(scheme);
  if (!bits) return floatWeight(into, name, shape);
  const blockSize = scheme.group_size;
  if (!blockSize) throw new Error(`${name}: ${scheme.strategy} codes cannot be taken apart`);
  const { graph } = into;
  const path = `${into.node.name}/${name}`;
  const [rows, cols] = stored;
  const blocks = Math.ceil(cols / blockSize);
  const ints = (values: number[]) => graph.constant('INT64', values);
  const step = (op: string, segment: string, inputs: string[], attributes = {}) =>
    into.onnx(op, `${path}/${segment}`, inputs, attributes);
  /** Numbers of `bits` bits, low nibble first, as float32 of `dims`. */
  const numbers = (bytes: string, segment: string, dims: number[]) => {
    let codes = bytes;
    if (bits === 4) {
      const low = step('BitwiseAnd', `${segment}/low`, [bytes, graph.constant('UINT8', 15)]);
      const high = step('BitShift', `${segment}/high`, [bytes, graph.constant('UINT8', 4)], { direction: 'RIGHT' });
      const pair = [low, high].map((nibble, index) =>
        step('Unsqueeze', `${segment}/Unsqueeze_${index}`, [nibble, ints([-1])]),
      );
      codes = step('Concat', `${segment}/Concat`, pair, { axis: -1 });
    }
    const floats = step('Cast', `${segment}/Cast`, [codes], { to: 1 });
    return step('Reshape', `${segment}/Reshape`, [floats, ints(dims)]);
  };
  const part = (suffix: string, dtype: 'UINT8' | 'FLOAT' | 'FLOAT16', dims: number[], which: string) =>
    graph.initializer(`${name}_${suffix}`, dtype, dims, { weight: name, part: which });

  const codes = part(`Q${bits}`, 'UINT8', [rows, blocks, (blockSize * bits) / 8], 'codes');
  const half = scheme.scale_dtype === 'F16';
  const storedScales = part('scales', half ? 'FLOAT16' : 'FLOAT', [rows, blocks], 'scales');
  const scales = half ? step('Cast', 'scales/Cast', [storedScales], { to: 1 }) : storedScales;
  let zeroPoints = graph.constant('FLOAT', 2 ** (bits - 1));
  if (!scheme.symmetric) {
    const perRow = Math.ceil((blocks * bits) / 8);
    const packed = part('zero_points', 'UINT8', [rows, perRow], 'zero_points');
    zeroPoints = numbers(packed, 'zero_points', [rows, (perRow * 8) / bits, 1]);
    if (blocks * bits < perRow * 8) {
      zeroPoints = step('Slice', 'zero_points/Slice', [zeroPoints, ints([0]), ints([blocks]), ints([1])]);
    }
  }
  const centred = step('Sub', 'Sub', [numbers(codes, 'codes', [rows, blocks, blockSize]), zeroPoints]);
  let values = step('Mul', 'Mul', [centred, step('Unsqueeze', 'scales/Unsqueeze', [scales, ints([-1])])]);
  if (blocks * blockSize > cols) {
    values = step('Reshape', 'rows/Reshape', [values, ints([rows, blocks * blockSize])]);
    values = step('Slice', 'rows/Slice', [values, ints([0]), ints([cols]), ints([1])]);
  }
  return step('Reshape', 'Reshape', [values, ints(shape)]);
}
