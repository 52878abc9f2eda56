import { activation, number, type OperatorCall, vector } from '../call.js';

/**
 * x / sqrt(mean(x^2) + epsilon) * gamma over each run of gamma's length: the whole width, or one head at a time.
 * The sum of squares is float64.
 */
export async function rmsNorm(call: OperatorCall) {
  const x = activation(call, 0);
  const gamma = await vector(call, 1);
  if (!gamma || x.width % gamma.length !== 0) {
    throw new Error(`${call.node.name}: a gamma of ${gamma?.length} does not divide a width of ${x.width}`);
  }
  const epsilon = number(call, 'epsilon');
  const size = gamma.length;
  const data = new Float32Array(x.data.length);
  for (let start = 0; start < data.length; start += size) {
    let squares = 0;
    for (let i = 0; i < size; i++) squares += x.data[start + i] * x.data[start + i];
    const factor = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = 0; i < size; i++) data[start + i] = x.data[start + i] * factor * gamma[i];
  }
  return { width: x.width, data };
}
