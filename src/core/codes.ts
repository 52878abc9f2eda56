import type { TensorRef } from './checkpoint.js';

const CODES = ['I8', 'U8', 'I32', 'U32', 'F4', 'F8_E4M3', 'F8_E5M2'];
const SCALES = /scale|zero|absmax|scb|quant_(map|state)/i;

/**
 * A tensor of codes: of integers or small floats and with more than one axis, beside one of the same module that is
 * named after scales or zero points; undefined where a checkpoint holds none.
 */
export function codesBesideScales(tensors: ReadonlyMap<string, TensorRef>): TensorRef | undefined {
  const moduleOf = (name: string) => name.slice(0, name.lastIndexOf('.'));
  const leafOf = (name: string) => name.slice(name.lastIndexOf('.') + 1);
  const scaled = new Set([...tensors.keys()].filter((name) => SCALES.test(leafOf(name))).map(moduleOf));
  return [...tensors.values()].find(
    ({ name, dtype, shape }) =>
      CODES.includes(dtype) && shape.length > 1 && scaled.has(moduleOf(name)) && !SCALES.test(leafOf(name)),
  );
}
