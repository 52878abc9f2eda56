import { UsageError } from '../../core/errors.js';
import { activation, number, type OperatorCall, weight } from '../call.js';

/**
 * Rotates values [offset, offset + r) of each head by the angle of its token's position: pairs (i, i + r/2), or
 * (2i, 2i + 1) where interleaved. Row p of the tables [P, r/2] belongs to position p. Throws UsageError past P.
 */
export async function rotary(call: OperatorCall) {
  const x = activation(call, 0);
  const [cosines, sines] = [weight(call, 1), weight(call, 2)];
  const half = cosines.cols;
  const [heads, headDim] = [number(call, 'heads'), number(call, 'head_dim')];
  const offset = number(call, 'offset', 0);
  const interleaved = number(call, 'interleaved', 0) === 1;
  if (x.width !== heads * headDim) throw new Error(`${call.node.name}: ${heads} heads in a width of ${x.width}`);

  const { positions } = call.sequences;
  const used = positions.reduce((most, each) => Math.max(most, each), 0) + 1;
  if (used > cosines.rows) {
    throw new UsageError(
      `A sequence has ${used} tokens; the rotary tables end at ${cosines.rows} positions.`,
      'give shorter sequences, or a larger --context-length.',
    );
  }
  const cos = new Float32Array(used * half);
  const sin = new Float32Array(used * half);
  await cosines.readFloat32(0, used, cos);
  await sines.readFloat32(0, used, sin);

  const data = x.data.slice();
  const [step, partner] = interleaved ? [2, 1] : [1, half];
  for (let token = 0; token < call.tokens; token++) {
    const angles = positions[token] * half;
    for (let head = 0; head < heads; head++) {
      const start = token * x.width + head * headDim + offset;
      for (let i = 0; i < half; i++) {
        const at = start + i * step;
        const other = at + partner;
        const a = x.data[at];
        const b = x.data[other];
        data[at] = a * cos[angles + i] - b * sin[angles + i];
        data[other] = b * cos[angles + i] + a * sin[angles + i];
      }
    }
  }
  return { width: x.width, data };
}
