import type { DressedCheckpoint, Dressing } from '../../core/dressing.js';
import { UsageError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import int4 from '../../schemes/int4.js';
import { fusedModule, modulePatterns } from '../packing/fused.js';
import { spreadZeroPoints } from '../packing/integer-rows.js';
import { repeated, transpose, transposeScales, wordsOf } from '../packing/words.js';
import type { GptqFormat } from './zero-points.js';

const bitsOf = ({ scheme }: QuantizationArgs) => (scheme === 'int8' ? 8 : 4);
const perWord = (args: QuantizationArgs) => 32 / bitsOf(args);
const groupsOf = (cols: number, args: QuantizationArgs) =>
  args.strategy === 'channel' ? 1 : cols / (args.group_size as number);
const moduleOf = (name: string) => name.replace(/\.weight$/, '');

/** The writing side of GPTQ in one of its two versions: what `gptqMatrix` reads. */
export function gptqDressing(format: GptqFormat): Dressing {
  const offset = format === 'gptq' ? 1 : 0;
  return {
    defaults: {
      scheme: 'int4',
      strategy: 'group',
      group_size: 128,
      symmetric: true,
      scale_dtype: 'F16',
      algorithm: int4.defaults.algorithm,
    },

    check(args, flag) {
      if (args.scheme !== 'int4' && args.scheme !== 'int8') {
        throw new UsageError(`${flag} ${args.scheme}: layout ${format} writes int4 and int8.`, `${flag} int4.`);
      }
      if (args.strategy !== 'group' && args.strategy !== 'channel') {
        throw new UsageError(
          `--strategy ${args.strategy}: layout ${format} has group and channel.`,
          '--strategy group.',
        );
      }
      if (args.scale_dtype !== 'F16' && args.scale_dtype !== 'BF16') {
        throw new UsageError(
          `${flag} ${args.scheme}: layout ${format} stores scales as F16 or BF16, not ${args.scale_dtype}.`,
          '--scales f16.',
        );
      }
      // a zero point of 0 less one borrows from its neighbours, and most engines add one code by code
      if (format === 'gptq' && !args.symmetric) {
        throw new UsageError(
          `${flag} ${args.scheme} --asymmetric: layout gptq stores zero points less one, which has no place for 0.`,
          '--layout gptq_v2, or leave --asymmetric out.',
        );
      }
    },

    quantizes: ({ kind, rows, cols }, args) =>
      kind === 'linear' &&
      rows % perWord(args) === 0 &&
      cols % perWord(args) === 0 &&
      (args.strategy === 'channel' || cols % (args.group_size as number) === 0),

    fused: fusedModule,
    rowQuantum: perWord,

    parts(rows, cols, args) {
      const groups = groupsOf(cols, args);
      return {
        qweight: { nbytes: (rows * cols * bitsOf(args)) / 8, segments: cols / perWord(args) },
        qzeros: { nbytes: (groups * rows * bitsOf(args)) / 8, segments: groups },
        scales: { nbytes: groups * rows * 2, segments: groups },
        g_idx: { nbytes: 4 * cols, fixed: true },
      };
    },

    pack(packed, rows, cols, args, out) {
      const bits = bitsOf(args);
      const groups = groupsOf(cols, args);
      const flip = args.signed ? 2 ** (bits - 1) : 0;
      const qweight = wordsOf(out.qweight);
      transpose(wordsOf(packed.codes), rows, cols / perWord(args), qweight);
      if (flip) for (let i = 0; i < qweight.length; i++) qweight[i] ^= repeated(flip, bits);
      transposeScales(packed.scales, rows, groups, 2, out.scales);
      const qzeros = wordsOf(out.qzeros);
      const codesAWord = perWord(args);
      const zeroPoints = packed.zero_points && spreadZeroPoints(packed.zero_points, rows, groups, bits, args);
      for (let group = 0; group < groups; group++) {
        for (let first = 0; first < rows; first += codesAWord) {
          let word = repeated(2 ** (bits - 1), bits);
          if (zeroPoints) {
            word = 0;
            for (let j = 0; j < codesAWord; j++) word |= zeroPoints[(first + j) * groups + group] << (bits * j);
          }
          qzeros[(group * rows + first) / codesAWord] = word - repeated(offset, bits);
        }
      }
      const groupSize = cols / groups;
      const index = wordsOf(out.g_idx);
      for (let col = 0; col < cols; col++) index[col] = Math.floor(col / groupSize);
    },

    tensors({ name, rows, cols }, args) {
      const module = moduleOf(name);
      const groups = groupsOf(cols, args);
      const word = perWord(args);
      return [
        { name: `${module}.qweight`, dtype: 'I32', shape: [cols / word, rows], content: { part: 'qweight' } },
        { name: `${module}.qzeros`, dtype: 'I32', shape: [groups, rows / word], content: { part: 'qzeros' } },
        { name: `${module}.scales`, dtype: args.scale_dtype, shape: [groups, rows], content: { part: 'scales' } },
        { name: `${module}.g_idx`, dtype: 'I32', shape: [cols], content: { part: 'g_idx' } },
      ];
    },

    config: (dressed) => ({ quantization_config: { quant_method: 'gptq', ...settings(dressed, format) } }),
    files: (dressed) => ({ 'quantize_config.json': `${JSON.stringify(settings(dressed, format), null, 2)}\n` }),
  };
}

const sizes = (args: QuantizationArgs): JsonObject => ({
  bits: bitsOf(args),
  group_size: args.strategy === 'channel' ? -1 : (args.group_size as number),
  sym: args.symmetric,
});

function settings({ args, exceptions, alone }: DressedCheckpoint, format: GptqFormat): JsonObject {
  // regular expressions, as GPTQModel has them: `+:` gives a module other settings, `-:` none
  const dynamic: JsonObject = {};
  const skipped = alone.filter(({ kind }) => kind === 'linear').map(({ name }) => name);
  for (const pattern of modulePatterns(skipped)) dynamic[`-:${pattern}`] = {};
  for (const { matrix, args: other } of exceptions) {
    for (const pattern of modulePatterns([matrix.name])) dynamic[`+:${pattern}`] = sizes(other);
  }
  return {
    ...sizes(args),
    desc_act: false,
    checkpoint_format: format,
    lm_head: false,
    pack_dtype: 'int32',
    ...(Object.keys(dynamic).length > 0 ? { dynamic } : {}),
  };
}
