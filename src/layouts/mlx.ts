import type { Layout } from '../core/layout.js';
import type { LogicalTensor, PackedSource } from '../core/weights.js';
import { affine } from './mlx/affine.js';
import type { MlxForm } from './mlx/form.js';
import { checkMlxSettings, MLX_MODES, type MlxMode, mlxQuantization, moduleSettings } from './mlx/modes.js';
import { smallFloat } from './mlx/small-floats.js';
import { joinKeyValues, unstacked } from './mlx/stacked.js';
import { mlxDressing } from './mlx/write.js';
import { floatTensors, refuseSetting } from './packing/stored-tensors.js';

const WEIGHT = '.weight';

const FORMS: Record<MlxMode, MlxForm> = {
  affine,
  mxfp4: smallFloat('mxfp4'),
  nvfp4: smallFloat('nvfp4'),
  mxfp8: smallFloat('mxfp8'),
};

/** mlx: checkpoints of mlx-lm. A module is quantized where it has `scales` beside its weight. */
export default {
  matches: (config) => mlxQuantization(config) !== undefined,

  undress(tensors, config, values) {
    const quantization = mlxQuantization(config) ?? {};
    checkMlxSettings(quantization);
    const matrices: LogicalTensor[] = [];
    const otherBits: string[] = [];
    const taken = new Set<string>();
    const single = unstacked(tensors);
    for (const [name, ref] of single) {
      if (!name.endsWith(WEIGHT) || ref.dtype !== 'U32') continue;
      const module = name.slice(0, -WEIGHT.length);
      const said = moduleSettings(quantization, ref.name.slice(0, -WEIGHT.length));
      const form = MLX_MODES.find((each) => each === said.mode);
      if (!form) refuseSetting('mlx', 'mode', said.mode, MLX_MODES.join(', '));
      const matrix = FORMS[form].matrix(module, single, values, said);
      const { bits = said.bits } = (matrix.source as PackedSource).parameters;
      if (bits !== said.bits) otherBits.push(`${name} (${bits})`);
      matrices.push(matrix);
      for (const part of ['weight', 'scales', 'biases']) taken.add(`${module}.${part}`);
    }
    if (otherBits.length > 0) {
      values.note(
        `config.json says ${quantization.bits} bits and does not list ${otherBits.slice(0, 3).join(', ')}` +
          `${otherBits.length > 3 ? ` and ${otherBits.length - 3} more` : ''}, whose shapes are of other bits: they are read so.`,
      );
    }
    const logical = floatTensors(single, taken);
    for (const matrix of matrices) logical.set(matrix.name, matrix);
    joinKeyValues(logical);
    return logical;
  },

  rowQuantum: () => 1,
  needs: (source, from, count) => formOf(source).needs(source, from, count),
  decode: (source, from, count, bytes, out) => formOf(source).decode(source, from, count, bytes, out),
  grid: (source) => formOf(source).grid(source),
  unpack: (source, from, count, bytes, args, out) => formOf(source).unpack(source, from, count, bytes, args, out),
  dressing: mlxDressing,
} satisfies Layout;

const formOf = (source: PackedSource): MlxForm => FORMS[source.parameters.form as MlxMode];
