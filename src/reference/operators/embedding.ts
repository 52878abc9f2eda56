import { type OperatorCall, weight } from '../call.js';

/** Rows of the table [V, H] at the token ids; each distinct id is read once. */
export async function embedding(call: OperatorCall) {
  const table = weight(call, 1);
  const width = table.cols;
  const data = new Float32Array(call.tokens * width);
  const firstAt = new Map<number, number>();
  for (let token = 0; token < call.tokens; token++) {
    const id = call.sequences.ids[token];
    const row = data.subarray(token * width, (token + 1) * width);
    const first = firstAt.get(id);
    if (first === undefined) {
      await table.readFloat32(id, 1, row);
      firstAt.set(id, token);
    } else {
      row.set(data.subarray(first * width, (first + 1) * width));
    }
  }
  return { width, data };
}
