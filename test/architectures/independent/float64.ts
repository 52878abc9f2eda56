/** A matrix as rows of float64: what the independent implementations compute with, as slowly and plainly as possible. */
export type Matrix = number[][];

/** x W^T (+ b): torch.nn.Linear. */
export function linear(x: Matrix, weight: Matrix, bias?: number[]): Matrix {
  return x.map((row) =>
    weight.map((out, o) => out.reduce((sum, w, i) => sum + w * row[i], bias === undefined ? 0 : bias[o])),
  );
}

export const add = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((value, j) => value + b[i][j]));
export const scaled = (a: Matrix, factor: number): Matrix => a.map((row) => row.map((value) => value * factor));
export const columns = (a: Matrix, from: number, to: number): Matrix => a.map((row) => row.slice(from, to));

/** x / sqrt(mean(x^2) + eps) * gain. */
export function rmsNorm(x: Matrix, gain: number[], eps: number): Matrix {
  return x.map((row) => {
    const meanSquare = row.reduce((sum, value) => sum + value * value, 0) / row.length;
    return row.map((value, i) => (value / Math.sqrt(meanSquare + eps)) * gain[i]);
  });
}

export const silu = (x: number): number => x / (1 + Math.exp(-x));

/** torch.nn.functional.gelu(x, approximate='tanh'). */
export const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

/** down(f(gate x) * up x). */
export function gatedMlp(x: Matrix, gate: Matrix, up: Matrix, down: Matrix, f: (x: number) => number): Matrix {
  const raised = linear(x, up);
  return linear(
    linear(x, gate).map((row, i) => row.map((value, j) => f(value) * raised[i][j])),
    down,
  );
}

/** inv_freq of the default rope: base^(-2i / dim). */
export const inverseFrequencies = (base: number, dim: number): number[] =>
  Array.from({ length: dim / 2 }, (_, i) => 1 / base ** ((2 * i) / dim));

/** q * cos + rotate_half(q) * sin, row p at position p. */
export function rotateHalf(head: Matrix, frequencies: number[]): Matrix {
  const half = frequencies.length;
  return head.map((row, position) =>
    row.map((value, i) => {
      const angle = position * frequencies[i % half];
      const turned = i < half ? -row[i + half] : row[i - half];
      return value * Math.cos(angle) + turned * Math.sin(angle);
    }),
  );
}

/** Pairs (2i, 2i + 1) of each row as complex numbers, turned by the angle of its position: torch.view_as_complex. */
export function rotatePairs(head: Matrix, frequencies: number[]): Matrix {
  return head.map((row, position) =>
    row.map((value, at) => {
      const angle = position * frequencies[Math.floor(at / 2)];
      const other = row[at % 2 === 0 ? at + 1 : at - 1];
      return value * Math.cos(angle) + (at % 2 === 0 ? -1 : 1) * other * Math.sin(angle);
    }),
  );
}

/**
 * softmax(cap(scale q k^T) + mask) v of one head; query i sees keys (i - window, i], all before it where window is 0.
 * A cap of 0 is none.
 */
export function attend(q: Matrix, k: Matrix, v: Matrix, scale: number, window: number, cap = 0): Matrix {
  return q.map((query, i) => {
    const first = window > 0 ? Math.max(0, i - window + 1) : 0;
    const seen = Array.from({ length: i - first + 1 }, (_, j) => first + j);
    const products = seen.map((j) => scale * k[j].reduce((sum, value, d) => sum + value * query[d], 0));
    const scores = cap === 0 ? products : products.map((score) => cap * Math.tanh(score / cap));
    const most = Math.max(...scores);
    const exponentials = scores.map((score) => Math.exp(score - most));
    const total = exponentials.reduce((sum, value) => sum + value, 0);
    return v[0].map((_, d) => seen.reduce((sum, j, at) => sum + (exponentials[at] / total) * v[j][d], 0));
  });
}

/** Heads side by side again: rows of heads [tokens, size] as [tokens, heads * size]. */
export const joined = (heads: Matrix[]): Matrix => heads[0].map((_, token) => heads.flatMap((head) => head[token]));
