import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { EnvironmentError, InvalidInputError, UsageError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { WritePlan } from '../core/plan.js';
import { type FileSystem, realFileSystem } from '../sources/file-system.js';
import { type FinishedUnit, type FinishedUnits, Journal, readJournal } from './journal.js';
import { isLocked, takeLock } from './lock.js';
import { OutputFiles, unwritable } from './output-files.js';
import type { Shard } from './shard.js';

/** Name of the directory beside the package in which it grows, until it is complete. */
export const temporaryName = (finalDir: string): string => `${resolve(finalDir)}.halfbyte-tmp`;

export interface OutputOptions {
  /** Replace what stands under the final name. */
  force: boolean;
  /** Directories that must stay: the output may not be one of them nor hold one. */
  inputs: string[];
  /** This process writes a part; others write theirs into the same directory. */
  shard?: Shard | undefined;
  /** This process finishes what shards have written. */
  merge?: boolean | undefined;
  fs?: FileSystem | undefined;
}

/** What shards leave for `merge`: the plan, its identity, and the settings that finishing needs. */
export interface StoredPlan {
  identity: string;
  plan: WritePlan;
  settings: Json;
}

/**
 * A package on its way to `finalDir`. All of it grows in a directory beside: `package/`, and with it the journals, the
 * locks and, for shards, the plan. `commit` gives the package its name in one step; until then nothing that existed
 * before is touched.
 */
export class Output {
  /** Where the files of the package are written. */
  readonly dir: string;
  readonly finalDir: string;
  readonly fs: FileSystem;
  readonly #state: string;
  readonly #options: OutputOptions;
  readonly #unlock: () => void;
  #journal: Journal | undefined;
  #isOver = false;

  /** @see openOutput */
  constructor(finalDir: string, options: OutputOptions) {
    this.finalDir = resolve(finalDir);
    this.fs = options.fs ?? realFileSystem;
    this.#options = options;
    this.#state = temporaryName(finalDir);
    this.dir = join(this.#state, 'package');
    checkInputs(this.finalDir, options.inputs, this.fs);
    try {
      this.#restoreReplaced();
      if (!options.force && this.#isTaken()) {
        throw new UsageError(
          `${finalDir}: the output exists already.`,
          '--force to replace it once the new one is complete, or another -o.',
        );
      }
      if (options.merge && !this.fs.existsSync(this.#state)) {
        throw new InvalidInputError(
          `${finalDir}: there are no parts to merge (no ${this.#state}).`,
          'run convert --shard i/n with the same -o for every part first.',
        );
      }
      this.fs.mkdirSync(this.dir, { recursive: true });
      this.#unlock = takeLock(this.#path(`lock-${this.#label}`), this.#what, this.fs);
      this.#refuseOthers();
    } catch (error) {
      throw unwritable(this.#state, error);
    }
  }

  /**
   * Starts or continues the work called `identity`; returns what is finished already, by whichever process.
   * Work of another identity is thrown away (and `onNote` told), unless shards share it: then it is refused.
   */
  begin(identity: string, onNote: (text: string) => void): FinishedUnits {
    const own = this.#path(`journal-${this.#label}`);
    if (!readJournal(own, this.fs)) this.fs.rmSync(own, { force: true });
    const journals = this.#journals().flatMap((name) => readJournal(this.#path(name), this.fs) ?? []);
    const isOther = journals.some((journal) => journal.identity !== identity);
    if (isOther) {
      if (this.#options.shard || this.#options.merge) throw this.#mixed();
      onNote('The input or the options have changed since the work was interrupted: starting anew.');
    }
    if (isOther || (journals.length === 0 && !this.#options.shard)) {
      // The bytes first: killed in between, the journals still say whose work it was.
      this.fs.rmSync(this.dir, { recursive: true, force: true });
      for (const name of [...this.#journals(), 'plan.json']) this.fs.rmSync(this.#path(name), { force: true });
      this.fs.mkdirSync(this.dir, { recursive: true });
    }
    this.#journal = Journal.open(own, identity, this.fs);
    const finished: FinishedUnits = new Map();
    for (const journal of isOther ? [] : journals) {
      for (const [unit, done] of journal.finished) finished.set(unit, done);
    }
    return finished;
  }

  /** Notes a finished unit in this process's journal. */
  record(unit: number, done: FinishedUnit): void {
    this.#journal?.record(unit, done);
  }

  /** The plan that the first shard left here, undefined before that. */
  readPlan(): StoredPlan | undefined {
    try {
      return JSON.parse(this.fs.readFileSync(this.#path('plan.json'), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Leaves the plan for `merge`. The same work has the same plan: whoever comes later finds it written. */
  storePlan(plan: StoredPlan): void {
    const known = this.readPlan();
    if (!known) this.#replace(this.#path('plan.json'), (path) => this.fs.writeFileSync(path, JSON.stringify(plan)));
    if ((known ?? this.readPlan())?.identity !== plan.identity) throw this.#mixed();
  }

  /** Writes a small file of the package. */
  writeFile(name: string, content: string | Uint8Array): void {
    this.#replace(this.file(name), (path) => this.fs.writeFileSync(path, content));
  }

  /** Writes bytes into a data file that has its size already. */
  writeAt(name: string, offset: number, bytes: Uint8Array): void {
    this.file(name);
    const files = new OutputFiles(this.dir, this.fs);
    try {
      files.write(name, offset, bytes);
    } finally {
      files.close();
    }
  }

  /** Takes a file over unchanged. A merge leaves alone what the shards have brought. */
  copyFile(name: string, source: string): void {
    if (this.#options.merge && this.fs.existsSync(this.file(name))) return;
    this.#replace(this.file(name), (path) => this.fs.copyFileSync(source, path));
  }

  /** Path of a package file while the package grows. Names that lead out of the package are refused. */
  file(name: string): string {
    if (isAbsolute(name) || name.split(/[\\/]/).includes('..') || name === '') {
      throw new InvalidInputError(`"${name}" is no file name inside a package.`);
    }
    return join(this.dir, name);
  }

  /** Gives the package its final name. What stood there before is gone only when the new one is in place. */
  commit(): void {
    const { fs } = this;
    const replaced = this.#path('replaced');
    try {
      if (this.#isTaken()) {
        fs.renameSync(this.finalDir, replaced);
        try {
          fs.renameSync(this.dir, this.finalDir);
        } catch (error) {
          fs.renameSync(replaced, this.finalDir);
          throw error;
        }
      } else {
        if (fs.existsSync(this.finalDir)) fs.rmdirSync(this.finalDir);
        fs.renameSync(this.dir, this.finalDir);
      }
    } catch (error) {
      throw unwritable(this.finalDir, error);
    } finally {
      this.#end();
    }
    fs.rmSync(this.#state, { recursive: true, force: true });
  }

  /** Ends without a package, after `commit` without effect; keeps what the same command needs to continue, if anything. */
  release(): void {
    if (this.#isOver) return;
    const hasBegun = this.#journal !== undefined;
    this.#end();
    if (!hasBegun && this.#journals().length === 0) this.#removeState();
  }

  /** Ends without a package and keeps nothing. */
  discard(): void {
    if (this.#isOver) return;
    this.#end();
    this.#removeState();
  }

  #end(): void {
    this.#isOver = true;
    this.#journal?.close();
    this.#journal = undefined;
    this.#unlock();
  }

  #removeState(): void {
    if (this.#othersAtWork().length === 0) this.fs.rmSync(this.#state, { recursive: true, force: true });
  }

  get #label(): string {
    const { shard, merge } = this.#options;
    return merge ? 'merge' : shard ? `${shard.index}-of-${shard.count}` : 'whole';
  }

  get #what(): string {
    const { shard } = this.#options;
    return shard ? `${this.finalDir} (shard ${shard.index}/${shard.count})` : this.finalDir;
  }

  /** Shards work side by side; one that finishes the package must be alone. */
  #refuseOthers(): void {
    const others = this.#othersAtWork();
    const alone = others.find((name) => !this.#options.shard || !name.includes('/'));
    if (alone === undefined) return;
    this.#unlock();
    throw new EnvironmentError(
      `${this.finalDir} is being written by another process (${alone.includes('/') ? `shard ${alone}` : alone}).`,
      'wait until it has finished, or stop it.',
    );
  }

  /** Names of those that write at this moment besides this process: `i/n`, `whole` or `merge`. */
  #othersAtWork(): string[] {
    const own = `lock-${this.#label}`;
    return this.#stateFiles(/^lock-[^.]+$/)
      .filter((name) => name !== own && isLocked(this.#path(name), this.fs))
      .map((name) => name.replace('lock-', '').replace('-of-', '/'));
  }

  #path(name: string): string {
    return join(this.#state, name);
  }

  #journals(): string[] {
    return this.#stateFiles(/^journal-[^.]+$/);
  }

  #stateFiles(pattern: RegExp): string[] {
    return this.fs
      .readdirSync(this.#state)
      .filter((name) => pattern.test(name))
      .sort();
  }

  #isTaken(): boolean {
    const { fs, finalDir } = this;
    if (!fs.existsSync(finalDir)) return false;
    return !fs.statSync(finalDir).isDirectory() || fs.readdirSync(finalDir).length > 0;
  }

  /** A kill inside `commit` leaves the old package aside: without its name, or with the new one in its place. */
  #restoreReplaced(): void {
    const replaced = this.#path('replaced');
    if (!this.fs.existsSync(replaced)) return;
    if (this.fs.existsSync(this.finalDir)) this.fs.rmSync(replaced, { recursive: true, force: true });
    else this.fs.renameSync(replaced, this.finalDir);
  }

  #replace(path: string, write: (temporary: string) => void): void {
    const temporary = join(this.#state, `${process.pid}-${this.#label}.tmp`);
    try {
      this.fs.mkdirSync(dirname(path), { recursive: true });
      write(temporary);
      this.fs.renameSync(temporary, path);
    } catch (error) {
      this.fs.rmSync(temporary, { force: true });
      throw unwritable(path, error);
    }
  }

  #mixed(): UsageError {
    return new UsageError(
      `${this.#state} holds parts of another conversion: the input, the options or the version differ.`,
      'give every shard the same options and input; to start anew, stop them all and remove that directory.',
    );
  }
}

/**
 * Opens the place where a package grows. Throws UsageError where the output exists (without `force`) or would swallow
 * an input, EnvironmentError where another process writes it or the system refuses.
 */
export function openOutput(finalDir: string, options: OutputOptions): Output {
  return new Output(finalDir, options);
}

function checkInputs(finalDir: string, inputs: string[], fs: FileSystem): void {
  const real = (path: string) => (fs.existsSync(path) ? fs.realpathSync(path) : resolve(path));
  for (const input of inputs) {
    const path = relative(real(finalDir), real(input));
    if (path === '' || !(path.startsWith('..') || isAbsolute(path))) {
      throw new UsageError(`${finalDir}: the output would replace its own input ${input}.`, 'another directory as -o.');
    }
  }
}
