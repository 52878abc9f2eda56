import type { DressedCheckpoint, Dressing } from '../../core/dressing.js';
import { UsageError } from '../../core/errors.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import int4 from '../../schemes/int4.js';
import { fusedModule, listedModules } from '../packing/fused.js';
import { spreadZeroPoints } from '../packing/integer-rows.js';
import { rowsToColumns } from '../packing/nibbles.js';
import { transposeScales, wordsOf } from '../packing/words.js';
import { AWQ_ORDER } from './order.js';

const groupsOf = (cols: number, args: QuantizationArgs) =>
  args.strategy === 'channel' ? 1 : cols / (args.group_size as number);
const groupSizeOf = ({ strategy, group_size }: QuantizationArgs) =>
  strategy === 'channel' ? -1 : (group_size as number);
const moduleOf = (name: string) => name.replace(/\.weight$/, '');

/** The writing side: what `awqMatrix` reads. AutoAWQ computes in float16 and so are the other tensors. */
export const awqDressing: Dressing = {
  defaults: {
    scheme: 'int4',
    strategy: 'group',
    group_size: 128,
    symmetric: false,
    scale_dtype: 'F16',
    algorithm: int4.defaults.algorithm,
  },

  check({ scheme, strategy, scale_dtype }, flag) {
    if (scheme !== 'int4') throw new UsageError(`${flag} ${scheme}: layout awq writes int4.`, `${flag} int4.`);
    if (strategy !== 'group' && strategy !== 'channel') {
      throw new UsageError(`--strategy ${strategy}: layout awq has group and channel.`, '--strategy group.');
    }
    if (scale_dtype !== 'F16') {
      throw new UsageError(
        `${flag} ${scheme}: layout awq stores scales as F16, not ${scale_dtype}.`,
        '--scales f16, or --layout gptq_v2 for BF16.',
      );
    }
  },

  floats: 'F16',

  quantizes: ({ kind, rows, cols }, args) =>
    kind === 'linear' &&
    rows % 8 === 0 &&
    cols % 8 === 0 &&
    (args.strategy === 'channel' || cols % (args.group_size as number) === 0),

  fused: fusedModule,
  rowQuantum: () => 8,

  parts(rows, cols, args) {
    const groups = groupsOf(cols, args);
    return {
      qweight: { nbytes: (rows * cols) / 2, segments: cols },
      qzeros: { nbytes: (groups * rows) / 2, segments: groups },
      scales: { nbytes: groups * rows * 2, segments: groups },
    };
  },

  pack(packed, rows, cols, args, out) {
    const groups = groupsOf(cols, args);
    const eights = rows / 8;
    const codes = { words: wordsOf(packed.codes), stride: cols / 8 };
    rowsToColumns(codes, eights, cols / 8, { words: wordsOf(out.qweight), stride: eights }, AWQ_ORDER);
    transposeScales(packed.scales, rows, groups, 2, out.scales);
    const qzeros = wordsOf(out.qzeros);
    if (!packed.zero_points) {
      qzeros.fill(0x88888888);
      return;
    }
    const zeroPoints = spreadZeroPoints(packed.zero_points, rows, groups, 4, args);
    const offsets = AWQ_ORDER.map((each) => each * groups);
    for (let group = 0; group < groups; group++) {
      for (let eight = 0; eight < eights; eight++) {
        const first = 8 * eight * groups + group;
        let word = 0;
        for (let i = 0; i < 8; i++) word |= zeroPoints[first + offsets[i]] << (4 * i);
        qzeros[group * eights + eight] = word;
      }
    }
  },

  tensors({ name, rows, cols }, args) {
    const module = moduleOf(name);
    const groups = groupsOf(cols, args);
    return [
      { name: `${module}.qweight`, dtype: 'I32', shape: [cols, rows / 8], content: { part: 'qweight' } },
      { name: `${module}.qzeros`, dtype: 'I32', shape: [groups, rows / 8], content: { part: 'qzeros' } },
      { name: `${module}.scales`, dtype: 'F16', shape: [groups, rows], content: { part: 'scales' } },
    ];
  },

  config({ config, args, exceptions, alone }: DressedCheckpoint) {
    const size = groupSizeOf(args);
    const other = exceptions.find((each) => groupSizeOf(each.args) !== size);
    if (other) {
      throw new UsageError(
        `"${other.matrix.name}" has groups of ${groupSizeOf(other.args)} columns, others of ${size}: layout awq has one size for all.`,
        '--group-size for all matrices, or --layout gptq_v2.',
      );
    }
    // what engines skip is a part of a module's name; heads they leave alone by themselves
    const skipped = alone
      .filter(({ kind = '' }) => ['linear', 'router', 'transposed'].includes(kind))
      .map(({ name }) => name);
    return {
      [config.dtype === undefined ? 'torch_dtype' : 'dtype']: 'float16',
      quantization_config: {
        quant_method: 'awq',
        zero_point: true,
        group_size: size,
        bits: 4,
        version: 'gemm',
        modules_to_not_convert: skipped.length > 0 ? listedModules(skipped) : null,
      },
    };
  },
};
