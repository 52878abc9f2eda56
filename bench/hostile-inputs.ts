// Damaged and hostile inputs by a seeded generator: what comes out of each, and whether a file that is none of the run's
// own is harmed. Outside CI: node --import tsx bench/hostile-inputs.ts [--count 2000] [--seed 1] [--kind gguf]
// Needs a build. Inputs run in processes that take one after the other and are replaced when they end or hang.
import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What moves a cursor or turns a line; tabs and newlines are ours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u200e\u200f\u2028]/;
const HANG_MS = 20_000;
const LARGEST_MB = 500;

interface Outcome {
  code: number;
  said: string;
  peakMb: number;
}

/** Numbers between 0 and 1 that follow from the seed alone (mulberry32). */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Dice {
  readonly next: () => number;
  constructor(seed: number) {
    this.next = random(seed);
  }
  below(count: number): number {
    return Math.floor(this.next() * count);
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

const NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '/',
  '..',
  '../../etc/passwd',
  '',
  'a\u202eb\n\u001b[2J',
  'x'.repeat(100_000),
  '\u0000',
  '/dev/zero',
];
const NUMBERS = [0, -1, 1, 2, 3, 7, 1e5, 1e7, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, 0.5, -0];
const deep = (depth: number): unknown => (depth === 0 ? 1 : [deep(depth - 1)]);
const value = (dice: Dice): unknown =>
  dice.of<() => unknown>([
    () => dice.of(NUMBERS),
    () => dice.of(NUMBERS),
    () => dice.of(NUMBERS),
    () => dice.of(NAMES),
    () => null,
    () => true,
    () => [],
    () => ({}),
    () => [dice.of(NUMBERS), dice.of(NAMES)],
    () => deep(150),
    () => ({ [dice.of(NAMES)]: dice.of(NUMBERS) }),
  ])();

/** Changes one or a few places of parsed JSON: a value, a key, a list's length. */
function mutateJson(root: unknown, dice: Dice): unknown {
  const places: [Record<string, unknown> | unknown[], string][] = [];
  const walk = (at: unknown): void => {
    if (typeof at !== 'object' || at === null) return;
    for (const key of Object.keys(at)) {
      places.push([at as Record<string, unknown>, key]);
      if (places.length < 20_000) walk((at as Record<string, unknown>)[key]);
    }
  };
  walk(root);
  for (let times = 1 + dice.below(3); times > 0 && places.length > 0; times--) {
    const [holder, key] = dice.of(places);
    const target = holder as Record<string, unknown>;
    switch (dice.below(6)) {
      case 0:
        delete target[key];
        break;
      case 1: {
        const moved = target[key];
        delete target[key];
        Object.defineProperty(target, dice.of(NAMES), {
          value: moved,
          enumerable: true,
          configurable: true,
          writable: true,
        });
        break;
      }
      default:
        target[key] = value(dice);
    }
  }
  return root;
}

function mutateBytes(bytes: Buffer, dice: Dice, within = bytes.length): Buffer {
  switch (dice.below(5)) {
    case 0:
      return bytes.subarray(0, dice.below(bytes.length));
    case 1:
      return Buffer.concat([bytes, bytes.subarray(0, 1 + dice.below(bytes.length))]);
    default: {
      const changed = Buffer.from(bytes);
      for (let times = 1 + dice.below(8); times > 0; times--) {
        const at = dice.below(Math.max(1, Math.min(within, bytes.length)));
        if (dice.below(3) > 0) changed[at] = dice.of([0, 1, 0x7f, 0x80, 0xff, dice.below(256)]);
        else if (at + 8 <= bytes.length)
          changed.writeBigUInt64LE(dice.of([0n, 1n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]), at);
      }
      return changed;
    }
  }
}

function mutateTextFile(path: string, dice: Dice): void {
  const bytes = readFileSync(path);
  const kind = dice.below(10);
  if (kind === 0) writeFileSync(path, '['.repeat(100_000));
  else if (kind === 1) writeFileSync(path, `{"a":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_001)}`);
  else if (kind === 2) writeFileSync(path, dice.of(['null', '[]', '1', '"x"', '', '{}', '{"__proto__":{"a":1}}']));
  else if (kind === 3) writeFileSync(path, mutateBytes(bytes, dice));
  else writeFileSync(path, JSON.stringify(mutateJson(JSON.parse(bytes.toString()), dice)));
}

function mutateSafetensors(path: string, dice: Dice): void {
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  if (dice.below(3) === 0) {
    writeFileSync(path, mutateBytes(bytes, dice, end));
    return;
  }
  const header = Buffer.from(JSON.stringify(mutateJson(JSON.parse(bytes.toString('utf8', 8, end)), dice)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, header, bytes.subarray(end)]));
}

interface Prepared {
  checkpoint: string;
  gguf: string;
  pack: string;
  quantized: string;
  shards: string;
}

type Kind = (dir: string, made: Prepared, dice: Dice) => string[];
const copy = (from: string, dir: string, name: string): string => {
  const to = join(dir, name);
  cpSync(from, to, { recursive: true });
  return to;
};
const checkpointCommand = (input: string, dir: string, dice: Dice): string[] =>
  dice.of([
    ['inspect', input],
    ['convert', input, '-o', join(dir, 'out'), '--dry-run'],
    ['convert', input, '-o', join(dir, 'out')],
    [
      'quantize',
      input,
      '-o',
      join(dir, 'out'),
      '--layout',
      dice.of(['gptq', 'awq', 'compressed-tensors', 'gguf', 'plain']),
    ],
  ]);
const packageCommand = (input: string, made: Prepared, dice: Dice): string[] =>
  dice.of([
    ['inspect', input],
    ['inspect', input, '--lint', 'qnn'],
    ['generate', input, '--prompt', 'once', '--max-new-tokens', '3'],
    ['verify', input, '--reference', made.checkpoint, '--ids', '1,2,3'],
  ]);

const KINDS: Record<string, Kind> = {
  config(dir, made, dice) {
    const input = copy(made.checkpoint, dir, 'in');
    mutateTextFile(join(input, dice.of(['config.json', 'config.json', 'config.json', 'generation_config.json'])), dice);
    return checkpointCommand(input, dir, dice);
  },
  safetensors(dir, made, dice) {
    const input = copy(made.checkpoint, dir, 'in');
    mutateSafetensors(join(input, 'model.safetensors'), dice);
    return checkpointCommand(input, dir, dice);
  },
  index(dir, made, dice) {
    const input = copy(made.checkpoint, dir, 'in');
    const bytes = readFileSync(join(input, 'model.safetensors'));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0))));
    const names = Object.keys(header).filter((name) => name !== '__metadata__');
    const index = join(input, 'model.safetensors.index.json');
    writeFileSync(
      index,
      JSON.stringify({
        metadata: {},
        weight_map: Object.fromEntries(names.map((name) => [name, 'model.safetensors'])),
      }),
    );
    mutateTextFile(index, dice);
    return checkpointCommand(input, dir, dice);
  },
  quantized(dir, made, dice) {
    const input = copy(made.quantized, dir, 'in');
    if (dice.below(2) === 0) mutateTextFile(join(input, 'config.json'), dice);
    else mutateSafetensors(join(input, 'model.safetensors'), dice);
    return checkpointCommand(input, dir, dice);
  },
  gguf(dir, made, dice) {
    const input = join(dir, 'in.gguf');
    const bytes = readFileSync(made.gguf);
    writeFileSync(input, mutateBytes(bytes, dice, 20_000));
    return checkpointCommand(input, dir, dice);
  },
  tokenizer(dir, made, dice) {
    const input = copy(made.pack, dir, 'in');
    mutateTextFile(join(input, dice.of(['tokenizer.json', 'tokenizer.json', 'tokenizer_config.json'])), dice);
    return packageCommand(input, made, dice);
  },
  manifest(dir, made, dice) {
    const input = copy(made.pack, dir, 'in');
    mutateTextFile(join(input, dice.of(['halfbyte.json', 'halfbyte.json', 'genai_config.json'])), dice);
    return packageCommand(input, made, dice);
  },
  onnx(dir, made, dice) {
    const input = copy(made.pack, dir, 'in');
    const file = join(input, 'model.onnx');
    const bytes = readFileSync(file);
    writeFileSync(file, mutateBytes(bytes, dice));
    return packageCommand(input, made, dice);
  },
  interrupted(dir, made, dice) {
    cpSync(join(made.shards, '..', 'shards.halfbyte-tmp'), join(dir, 'out.halfbyte-tmp'), { recursive: true });
    const state = join(dir, 'out.halfbyte-tmp');
    const file = join(
      state,
      dice.of(['plan.json', 'journal-1-of-2', 'journal-2-of-2', 'lock-merge', 'package/model.onnx.data']),
    );
    const bytes = existsSync(file) ? readFileSync(file) : Buffer.from('{"pid":1,"host":"x","token":"y"}');
    switch (dice.below(5)) {
      case 0:
        rmSync(file, { force: true });
        symlinkSync(join(dir, '..', 'canary', 'precious'), file);
        break;
      case 1:
        writeFileSync(file, dice.of(['null', '', '[]', '{}']));
        break;
      default:
        writeFileSync(file, mutateBytes(bytes, dice));
    }
    const shard = ['convert', made.checkpoint, '-o', join(dir, 'out'), '--shard', '1/2'];
    return dice.below(2) === 0 ? ['merge', join(dir, 'out')] : shard;
  },
};

async function serve(): Promise<void> {
  const commands = new Map<string, { run(argv: string[], root: string): Promise<unknown> }>();
  process.on('message', async (argv: string[]) => {
    const [name, ...rest] = argv;
    let command = commands.get(name);
    command ??= (await import(`../dist/commands/${name}.js`)).default as NonNullable<typeof command>;
    commands.set(name, command);
    try {
      writeFileSync('/proc/self/clear_refs', '5');
    } catch {
      // Then the figure is the highest of the process so far.
    }
    let said = '';
    for (const stream of [process.stdout, process.stderr]) {
      stream.write = ((text: string | Uint8Array, encoding?: unknown, done?: () => void) => {
        said = (said + String(text)).slice(-4000);
        const after = typeof encoding === 'function' ? (encoding as () => void) : done;
        if (after) setImmediate(after);
        return true;
      }) as typeof stream.write;
    }
    let code = 0;
    try {
      await command?.run(rest, ROOT);
    } catch (error) {
      const { oclif, message } = error as { oclif?: { exit?: number }; message: string };
      code = oclif?.exit ?? 4;
      if (oclif === undefined) said += `internal error: ${message}`;
    }
    const [, peak] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    process.send?.({ code, said, peakMb: Number(peak) / 1024 } satisfies Outcome);
  });
}

const sums = (dir: string): string => {
  const hash = createHash('sha256');
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    if (entry.isFile()) hash.update(entry.name).update(readFileSync(join(entry.parentPath ?? entry.path, entry.name)));
  }
  return hash.digest('hex');
};

class Server {
  #child: ChildProcess | undefined;

  async run(argv: string[]): Promise<Outcome | 'crash' | 'hang'> {
    this.#child ??= fork(fileURLToPath(import.meta.url), ['--serve'], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const child = this.#child;
    return new Promise((done) => {
      const end = (outcome: Outcome | 'crash' | 'hang') => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (typeof outcome === 'string') {
          child.kill('SIGKILL');
          this.#child = undefined;
        }
        done(outcome);
      };
      const timer = setTimeout(() => end('hang'), HANG_MS);
      child.once('message', (outcome) => end(outcome as Outcome));
      child.once('exit', () => end('crash'));
      child.send(argv);
    });
  }

  close(): void {
    this.#child?.kill('SIGKILL');
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      kind: { type: 'string' },
      keep: { type: 'string' },
    },
  });
  const work = mkdtempSync(join(tmpdir(), 'halfbyte-hostile-inputs-'));
  const server = new Server();
  const checkpoint = join(work, 'checkpoint');
  cpSync(join(ROOT, 'fixtures', 'union-1.8m'), checkpoint, { recursive: true });
  for (const name of ['golden.safetensors', 'heldout.txt', 'ppl.json']) rmSync(join(checkpoint, name));
  const made: Prepared = {
    checkpoint,
    gguf: '',
    pack: join(work, 'pack'),
    quantized: join(work, 'quantized'),
    shards: join(work, 'shards'),
  };
  for (const argv of [
    ['convert', checkpoint, '-o', made.pack],
    ['quantize', checkpoint, '-o', made.quantized, '--layout', 'gptq'],
    ['quantize', checkpoint, '-o', join(work, 'gguf'), '--layout', 'gguf'],
    ['convert', checkpoint, '-o', made.shards, '--shard', '1/2'],
    ['convert', checkpoint, '-o', made.shards, '--shard', '2/2'],
  ]) {
    const outcome = await server.run(argv);
    if (typeof outcome === 'string' || outcome.code !== 0)
      throw new Error(`${argv.join(' ')}: ${JSON.stringify(outcome)}`);
  }
  const container = readdirSync(join(work, 'gguf')).find((name) => name.endsWith('.gguf'));
  made.gguf = join(work, 'gguf', container as string);
  mkdirSync(join(work, 'canary'));
  writeFileSync(join(work, 'canary', 'precious'), 'years of work');
  const before = ['canary', 'checkpoint', 'pack', 'quantized', 'gguf'].map((name) => sums(join(work, name)));

  const kinds = values.kind ? [values.kind] : Object.keys(KINDS);
  const table = new Map(
    kinds.map((kind) => [
      kind,
      {
        inputs: 0,
        refused: 0,
        failed: 0,
        done: 0,
        environment: 0,
        usage: 0,
        internal: 0,
        crash: 0,
        hang: 0,
        large: 0,
        peak: 0,
      },
    ]),
  );
  const count = Number(values.count);
  let harmed = 0;
  for (let number = 0; number < count; number++) {
    const kind = kinds[number % kinds.length];
    const dice = new Dice(Number(values.seed) * 1_000_003 + number);
    const dir = join(work, 'case');
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir);
    const argv = KINDS[kind](dir, made, dice);
    const outcome = await server.run(argv);
    const row = table.get(kind)!;
    row.inputs++;
    const tell = (what: string) =>
      process.stdout.write(`${kind} ${number}: ${what}: ${argv.join(' ').slice(0, 300)}\n`);
    if (outcome === 'crash' || outcome === 'hang') {
      row[outcome]++;
      tell(outcome);
    } else {
      const isInternal = outcome.said.includes('internal error');
      if (isInternal) row.internal++;
      else row[(['done', 'failed', 'usage', 'refused', 'environment'] as const)[outcome.code] ?? 'environment']++;
      row.peak = Math.max(row.peak, outcome.peakMb);
      if (outcome.peakMb > LARGEST_MB) row.large++;
      if (isInternal || outcome.peakMb > LARGEST_MB)
        tell(`${outcome.peakMb.toFixed(0)} MB, ${outcome.said.slice(-400)}`);
      const control = [...outcome.said].find((character) => CONTROL.test(character));
      if (control !== undefined) tell(`says a control character ${control.codePointAt(0)?.toString(16)}`);
      if (outcome.said.length >= 4000 && outcome.code >= 2) tell('says too much');
    }
    if (readFileSync(join(work, 'canary', 'precious'), 'utf8') !== 'years of work') {
      harmed++;
      tell('harmed a file');
      writeFileSync(join(work, 'canary', 'precious'), 'years of work');
    }
  }
  const after = ['canary', 'checkpoint', 'pack', 'quantized', 'gguf'].map((name) => sums(join(work, name)));
  if (after.some((sum, index) => sum !== before[index])) harmed++;
  server.close();
  rmSync(work, { recursive: true, force: true });
  const columns = [
    'inputs',
    'refused',
    'failed',
    'done',
    'environment',
    'usage',
    'internal',
    'crash',
    'hang',
    'large',
    'peak',
  ] as const;
  process.stdout.write(`| kind | ${columns.join(' | ')} |\n`);
  for (const [kind, row] of table)
    process.stdout.write(`| ${kind} | ${columns.map((each) => Math.round(row[each])).join(' | ')} |\n`);
  process.stdout.write(`files harmed: ${harmed}\n`);
}

await (process.argv.includes('--serve') ? serve() : main());
