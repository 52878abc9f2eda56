import * as z from 'zod';
import type { Calibration } from '../core/calibration.js';
import { InvalidInputError } from '../core/errors.js';
import { own } from '../core/own.js';
import { readSafetensorsHeader, readTensor } from './safetensors.js';
import { writeSafetensors } from './safetensors-writer.js';

const metadata = z.object({
  format_version: z.literal(1),
  percentiles: z.array(z.number()),
  origin: z.object({
    text: z.enum(['given text', 'given ids', 'bundled text', 'pseudo-random ids']),
    tokens: z.int().positive(),
    ids_sha256: z.string(),
  }),
});

const RANGE = 'range.';
const MOMENT = 'second_moment.';

/**
 * Writes a calibration as safetensors: `range.<value>` F32 [2 + P] with minimum, maximum and P percentiles,
 * `second_moment.<weight>` F32 [inputs]; the metadata key `calibration` holds origin and percentiles as JSON.
 */
export function writeCalibration(file: string, calibration: Calibration, percentiles: number[]): void {
  const tensor = (name: string, values: Float32Array) => ({
    name,
    dtype: 'F32' as const,
    shape: [values.length],
    data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  });
  const { ranges, second_moments, origin } = calibration;
  writeSafetensors(
    file,
    [
      ...Object.entries(ranges).map(([name, { min, max, percentiles: each }]) =>
        tensor(RANGE + name, Float32Array.of(min, max, ...each)),
      ),
      ...Object.entries(second_moments).map(([name, values]) => tensor(MOMENT + name, values)),
    ],
    { calibration: JSON.stringify({ format_version: 1, percentiles, origin }) },
  );
}

/** Reads a calibration. Throws InvalidInputError that names the file and what is wrong with it. */
export function readCalibration(file: string): Calibration {
  const header = readSafetensorsHeader(file);
  const refuse = (found: string): never => {
    throw new InvalidInputError(`${file}: ${found}.`, 'make the file again with halfbyte calibrate.');
  };
  let stated: unknown;
  try {
    stated = JSON.parse(header.metadata.calibration ?? 'null');
  } catch {
    stated = null;
  }
  const parsed = metadata.safeParse(stated);
  if (!parsed.success) return refuse('this is no calibration: its metadata do not say so');
  const { origin, percentiles } = parsed.data;
  const calibration: Calibration = { origin, ranges: own(), second_moments: own() };
  for (const [name, ref] of header.tensors) {
    if (ref.dtype !== 'F32') refuse(`tensor "${name}" is ${ref.dtype}; needed is F32`);
    const values = new Float32Array(readTensor(ref).slice().buffer);
    if (values.some((value) => !Number.isFinite(value))) refuse(`tensor "${name}" holds a value that is not finite`);
    if (name.startsWith(MOMENT)) calibration.second_moments[name.slice(MOMENT.length)] = values;
    if (!name.startsWith(RANGE)) continue;
    const [min, max, ...rest] = values;
    if (rest.length !== percentiles.length || min > max) {
      refuse(`tensor "${name}" is no range with ${percentiles.length} percentiles`);
    }
    calibration.ranges[name.slice(RANGE.length)] = { min, max, percentiles: rest };
  }
  return calibration;
}
