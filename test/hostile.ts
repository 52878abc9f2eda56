import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FIXTURES = fileURLToPath(new URL('../fixtures', import.meta.url));

/** A hostile checkpoint: a fixture and what was done to it, and how halfbyte must answer. See fixtures/bad/cases.json. */
export interface HostileCase {
  name: string;
  /** Fixture that is copied; none: an empty directory. */
  base?: string;
  steps: Step[];
  /** `open`: reading headers must refuse it; `convert`: the command must. */
  level: 'open' | 'convert';
  /** Further arguments of convert. */
  args?: string[];
  code: number;
  /** Every one of these stands in the message. */
  message: string[];
}

type Header = Record<string, Record<string, unknown>>;
type Step =
  | { do: 'write'; file: string; text?: string; base64?: string }
  | { do: 'delete'; file: string }
  | { do: 'truncate'; file: string; bytes: number }
  | { do: 'append'; file: string; bytes: number }
  | { do: 'raw'; file: string; header: string; length?: string; data?: number; encoding?: 'utf8' | 'latin1' }
  | { do: 'entry'; file: string; tensor: string; set: Record<string, unknown> }
  | { do: 'metadata'; file: string; value: unknown }
  | {
      do: 'rebuild';
      file: string;
      drop?: string[];
      add?: Record<string, { dtype: string; shape: number[] }>;
      reshape?: Record<string, number[]>;
    }
  | { do: 'patch'; file: string; tensor: string; at: number; bytes: number[] }
  | { do: 'config'; set?: Record<string, unknown>; remove?: string[] }
  | { do: 'index'; set?: Record<string, string>; remove?: string[]; whole?: unknown };

/** All cases of fixtures/bad/cases.json. */
export const hostileCases = (): HostileCase[] =>
  JSON.parse(readFileSync(join(FIXTURES, 'bad', 'cases.json'), 'utf8')).cases;

/** Makes the checkpoint of a case in a fresh directory; the caller removes `root`. */
export function materialize(hostile: HostileCase): { root: string; checkpoint: string } {
  const root = mkdtempSync(join(tmpdir(), 'halfbyte-hostile-'));
  const checkpoint = join(root, 'checkpoint');
  mkdirSync(checkpoint);
  if (hostile.base) {
    cpSync(join(FIXTURES, hostile.base), checkpoint, { recursive: true });
    rmSync(join(checkpoint, 'golden.safetensors'), { force: true });
  }
  for (const step of hostile.steps) apply(step, checkpoint);
  return { root, checkpoint };
}

function split(file: string): { header: Header; data: Buffer } {
  const bytes = readFileSync(file);
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  return { header: JSON.parse(bytes.toString('utf8', 8, end)), data: bytes.subarray(end) };
}

function assemble(file: string, header: string | Buffer, data: Buffer, length?: bigint): void {
  const text = Buffer.from(header);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(text.length));
  writeFileSync(file, Buffer.concat([size, text, data]));
}

function rebuild(step: Extract<Step, { do: 'rebuild' }>, file: string): void {
  const { header, data } = split(file);
  const entries: Record<string, unknown> = {};
  const chunks: Buffer[] = [];
  let end = 0;
  const push = (name: string, dtype: unknown, shape: unknown, bytes: Buffer) => {
    entries[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    chunks.push(bytes);
    end += bytes.length;
  };
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__' || step.drop?.includes(name)) continue;
    const [from, to] = entry.data_offsets as [number, number];
    const shape = step.reshape?.[name];
    const bytes = shape ? Buffer.alloc(2 * shape.reduce((a, b) => a * b, 1)) : data.subarray(from, to);
    push(name, entry.dtype, shape ?? entry.shape, bytes);
  }
  for (const [name, { dtype, shape }] of Object.entries(step.add ?? {})) {
    push(name, dtype, shape, Buffer.alloc(({ I64: 8, F32: 4 }[dtype] ?? 2) * shape.reduce((a, b) => a * b, 1)));
  }
  assemble(file, JSON.stringify(entries), Buffer.concat(chunks));
}

function apply(step: Step, checkpoint: string): void {
  const file = join(checkpoint, 'file' in step ? step.file : '');
  switch (step.do) {
    case 'write':
      writeFileSync(file, Buffer.from(step.base64 ?? step.text ?? '', step.base64 === undefined ? 'utf8' : 'base64'));
      break;
    case 'delete':
      rmSync(file);
      break;
    case 'truncate':
      truncateSync(file, step.bytes < 0 ? readFileSync(file).length + step.bytes : step.bytes);
      break;
    case 'append':
      writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.alloc(step.bytes)]));
      break;
    case 'raw': {
      const text = Buffer.from(step.header, step.encoding ?? 'utf8');
      assemble(file, text, Buffer.alloc(step.data ?? 0), step.length === undefined ? undefined : BigInt(step.length));
      break;
    }
    case 'entry': {
      const { header, data } = split(file);
      for (const [key, value] of Object.entries(step.set)) {
        if (value === '(remove)') delete header[step.tensor][key];
        else header[step.tensor][key] = value;
      }
      assemble(file, JSON.stringify(header), data);
      break;
    }
    case 'metadata': {
      const { header, data } = split(file);
      assemble(file, JSON.stringify({ ...header, __metadata__: step.value }), data);
      break;
    }
    case 'rebuild':
      rebuild(step, file);
      break;
    case 'patch': {
      const { header } = split(file);
      const bytes = readFileSync(file);
      const start = 8 + Number(bytes.readBigUInt64LE(0)) + (header[step.tensor].data_offsets as number[])[0];
      Buffer.from(step.bytes).copy(bytes, start + step.at);
      writeFileSync(file, bytes);
      break;
    }
    case 'config': {
      const path = join(checkpoint, 'config.json');
      const config = { ...JSON.parse(readFileSync(path, 'utf8')), ...step.set };
      for (const key of step.remove ?? []) delete config[key];
      writeFileSync(path, JSON.stringify(config));
      break;
    }
    case 'index': {
      const path = join(checkpoint, 'model.safetensors.index.json');
      const index = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { metadata: {}, weight_map: {} };
      Object.assign(index.weight_map, step.set);
      for (const key of step.remove ?? []) delete index.weight_map[key];
      writeFileSync(path, JSON.stringify(step.whole ?? index));
    }
  }
}
