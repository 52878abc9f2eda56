import type { Checkpoint } from '../../core/checkpoint.js';
import { UsageError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import { VERSION } from '../../core/version.js';
import { SafetensorsStream } from '../../formats/safetensors-stream.js';
import type { TensorEntry } from '../../formats/safetensors-writer.js';
import { logSumExp } from '../../metrics/math/log-softmax.js';
import { greatest } from '../../metrics/math/ranking.js';
import type { Engine } from './engine-on-weights.js';
import { idsTensor, idTensors } from './id-tensors.js';

export interface SaveSettings {
  file: string;
  /** Logits kept of each position; undefined for all of them. */
  top: number | undefined;
}

/** Writes the logits of a reference as they are computed, whole or reduced to the best of each position. */
export class SavedReference {
  readonly #stream: SafetensorsStream;
  /** By set: where its tensors begin their names, and the row of each sequence's first token. */
  readonly #sets = new Map<string, { prefix: string; sequences: number[][]; width: number }>();

  constructor(
    { file, top }: SaveSettings,
    sets: { name: string; sequences: number[][] }[],
    readonly vocabulary: number,
    { config, generationConfig }: Pick<Checkpoint, 'config' | 'generationConfig'>,
  ) {
    this.kept = top === undefined ? undefined : Math.min(top, vocabulary);
    const ids = sets.flatMap(({ name, sequences }) => idTensors(name, sequences));
    const logits: TensorEntry[] = [];
    for (const { name, sequences } of sets) {
      const prefix = idsTensor(name).slice(0, -'input_ids'.length);
      const width = Math.max(...sequences.map((each) => each.length));
      this.#sets.set(name, { prefix, sequences, width });
      const shape = [sequences.length, width];
      logits.push(...logitTensors(prefix, shape, vocabulary, this.kept));
    }
    const metadata: Record<string, string> = {
      saved_by: `halfbyte ${VERSION}`,
      config: JSON.stringify(config satisfies JsonObject),
      generation_config: JSON.stringify(generationConfig),
    };
    this.#stream = new SafetensorsStream(file, [...ids.map(({ entry }) => entry), ...logits], metadata);
    for (const { entry, data } of ids) this.#stream.write(entry.name, 0, data);
    if (this.kept === undefined) return;
    for (const { prefix } of this.#sets.values()) {
      this.#stream.write(`${prefix}vocabulary`, 0, bytesOf(BigInt64Array.of(BigInt(vocabulary))));
    }
  }

  readonly kept: number | undefined;

  /** Takes the logits [vocabulary] at a position of a sequence of a set. */
  add(set: string, sequence: number, position: number, row: Float32Array): void {
    const found = this.#sets.get(set);
    if (!found) throw new Error(`no set ${set} is being saved`);
    const { prefix, sequences, width } = found;
    const at = sequence * width + position;
    const write = (part: string, place: number, values: Float32Array | Int32Array) =>
      this.#stream.write(`${prefix}${part}`, place * 4, bytesOf(values));
    if (this.kept === undefined) {
      write('logits', at * this.vocabulary, row);
      return;
    }
    const best = greatest(row, this.kept);
    write('top.ids', at * this.kept, Int32Array.from(best));
    write(
      'top.logits',
      at * this.kept,
      Float32Array.from(best, (id) => row[id]),
    );
    write('logsumexp', at, Float32Array.of(logSumExp(row)));
    const next = sequences[sequence][position + 1];
    write('target.logits', at, Float32Array.of(next === undefined ? 0 : row[next]));
  }

  finish(): void {
    this.#stream.finish();
  }

  abandon(): void {
    this.#stream.abandon();
  }
}

function logitTensors(prefix: string, shape: number[], vocabulary: number, kept: number | undefined): TensorEntry[] {
  if (kept === undefined) return [{ name: `${prefix}logits`, dtype: 'F32', shape: [...shape, vocabulary] }];
  return [
    { name: `${prefix}top.ids`, dtype: 'I32', shape: [...shape, kept] },
    { name: `${prefix}top.logits`, dtype: 'F32', shape: [...shape, kept] },
    { name: `${prefix}logsumexp`, dtype: 'F32', shape },
    { name: `${prefix}target.logits`, dtype: 'F32', shape },
    { name: `${prefix}vocabulary`, dtype: 'I64', shape: [1] },
  ];
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int32Array | BigInt64Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Opens what `--save-reference` asks for; null where nothing does. Throws UsageError without an engine that computes logits. */
export function savedReference(
  save: SaveSettings | undefined,
  sets: { name: string; sequences: number[][] }[],
  engine: Engine | null,
  checkpoint: Pick<Checkpoint, 'config' | 'generationConfig'> | undefined,
): SavedReference | null {
  if (!save) return null;
  if (!engine || !checkpoint) {
    throw new UsageError(
      '--save-reference: only logits that the reference engine computes are saved.',
      'give the directory of the original checkpoint as --reference.',
    );
  }
  return new SavedReference(save, sets, engine.vocabulary, checkpoint);
}
