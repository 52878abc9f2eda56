import type { Graph } from '../../core/graph.js';
import type { Hypothesis, TensorError } from '../../core/verify-report.js';
import type { RotaryTable, RowSource } from '../../core/weights.js';
import { ErrorSums } from '../../metrics/math/error-sums.js';
import { InputFiles } from '../../sources/input-files.js';
import { openRows } from '../../sources/read.js';
import type { PackageWeights } from '../subject/package-weights.js';
import { short } from '../verdict/short-number.js';

/** Positions of a table that are compared: wrong bases and positions show in the first ones. */
const POSITIONS = 64;

/**
 * Assumes known mistakes about rotary tables that are off: another base, no scaling, another attention factor, rows one
 * off. The base is read off the table itself: its second frequency is base^(-2 / width).
 */
export async function rotaryHypotheses(
  tensors: TensorError[],
  drawn: Graph,
  weights: PackageWeights,
): Promise<Hypothesis[]> {
  const found: Hypothesis[] = [];
  const files = new InputFiles();
  try {
    for (const { name, verdict } of tensors) {
      const table = tableOf(drawn, name);
      const stored = weights.stored(name);
      if (verdict !== 'fail' || !table || !stored) continue;
      const rows = Math.min(POSITIONS, table.positions);
      const read = async (source: RowSource, from = 0) => {
        const opened = await openRows(source, files);
        const values = new Float32Array(rows * opened.cols);
        for (let row = 0; row < rows; row++) {
          const at = Math.min(opened.rows - 1, Math.max(0, row + from));
          opened.readFloat32(at, 1, values.subarray(row * opened.cols, (row + 1) * opened.cols));
        }
        return values;
      };
      const actual = await read(stored.source);
      const errorOtherwise = errorOf(await read(sourceOf(table)), actual);
      const attempts: [id: string, statement: string, values: Float32Array][] = [
        ['positions late', 'is one position late.', await read(sourceOf(table), -1)],
        ['positions early', 'is one position early.', await read(sourceOf(table), 1)],
      ];
      for (const { id, statement, other } of otherTables(table, actual)) {
        attempts.push([id, statement, await read(sourceOf(other))]);
      }
      for (const [id, statement, values] of attempts) {
        const errorIfSo = errorOf(values, actual);
        const likely = errorIfSo < 0.05 * errorOtherwise;
        if (!likely) continue;
        found.push({ id, statement: `${name}: ${statement}`, errorIfSo, errorOtherwise, likely });
        break;
      }
    }
  } finally {
    files.close();
  }
  return found;
}

function tableOf(drawn: Graph, name: string): RotaryTable | undefined {
  const source = drawn.weights[name]?.source;
  return typeof source === 'object' && 'rotary' in source ? source.rotary : undefined;
}

const sourceOf = (table: RotaryTable): RowSource => ({
  kind: 'rotary',
  table,
  rows: table.positions,
  cols: table.inverse_frequencies.length,
});

function* otherTables(
  table: RotaryTable,
  actual: Float32Array,
): Iterable<{ id: string; statement: string; other: RotaryTable }> {
  const half = table.inverse_frequencies.length;
  const plain = (base: number): RotaryTable => ({
    ...table,
    attention_factor: 1,
    inverse_frequencies: Array.from({ length: half }, (_, i) => base ** (-i / half)),
  });
  const second = actual[half + 1];
  const angle = table.part === 'cos' ? Math.acos(second) : Math.asin(second);
  if (half > 1 && angle > 0) {
    const base = Number((angle ** -half).toPrecision(3));
    const statement = `is that of a rope base (rope_theta) of ${base} without scaling.`;
    yield { id: 'rope base', statement, other: plain(base) };
  }
  // The cosine at position 0 is the factor itself.
  if (table.part === 'cos' && actual[0] > 0) {
    const factor = actual[0];
    const statement = `has an attention factor of ${short(factor)}, not ${short(table.attention_factor)}.`;
    yield { id: 'attention factor', statement, other: { ...table, attention_factor: factor } };
  }
}

function errorOf(expected: Float32Array, actual: Float32Array): number {
  const sums = new ErrorSums().add(expected, actual);
  return Math.sqrt(sums.noise / Math.max(sums.signal, Number.MIN_VALUE));
}
