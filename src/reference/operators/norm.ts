import { activation, number, type OperatorCall, vector, weight } from '../call.js';

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

/**
 * (x - mean) / sqrt(variance + epsilon) * gamma + beta over each run of gamma's length, which has one row for all runs or
 * one for each; both moments are float64.
 */
export async function layerNorm(call: OperatorCall) {
  const x = activation(call, 0);
  const [gamma, beta] = [await vector(call, 1), await vector(call, 2)];
  const size = weight(call, 1).cols;
  if (!gamma || x.width % gamma.length !== 0 || (beta && beta.length !== gamma.length)) {
    throw new Error(
      `${call.node.name}: a gamma of ${gamma?.length} and a beta of ${beta?.length} for ${x.width} values`,
    );
  }
  const epsilon = number(call, 'epsilon');
  const data = new Float32Array(x.data.length);
  for (let start = 0; start < data.length; start += size) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += x.data[start + i];
    const mean = sum / size;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (x.data[start + i] - mean) ** 2;
    const factor = 1 / Math.sqrt(squares / size + epsilon);
    const row = start % gamma.length;
    for (let i = 0; i < size; i++) {
      data[start + i] = (x.data[start + i] - mean) * factor * gamma[row + i] + (beta ? beta[row + i] : 0);
    }
  }
  return { width: x.width, data };
}
