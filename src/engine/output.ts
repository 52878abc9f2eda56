import { constants } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { EnvironmentError, InvalidInputError, UsageError } from '../core/errors.js';
import type { PlannedFile } from '../core/plan.js';
import { openInput } from '../formats/input-file.js';
import { COMPLETE, type DirectoryState, outputDirectory, outputPath } from '../places/directory.js';
import { type FileSystem, realFileSystem } from '../sources/file-system.js';
import { type FinishedUnit, type FinishedUnits, Journal, readJournal } from './journal.js';
import { isLocked, takeLock } from './lock.js';
import { allocate, checkWritten, OutputFiles, unwritable } from './output-files.js';
import type { Shard } from './shard.js';
import {
  inOrderOfRemoval,
  isInside,
  PACKAGE,
  PLAN,
  REPLACED,
  refuseForeign,
  stateDirectory,
} from './state-directory.js';
import { readStoredPlan, type StoredPlan, storedPlanText } from './stored-plan.js';

/** Name of the directory beside the package, or in it, in which it grows until it is complete. */
export const temporaryName = (finalDir: string): string => stateDirectory(outputPath(finalDir), realFileSystem);

export interface OutputOptions {
  /** Replace the package that stands under the final name. */
  force: boolean;
  /** Directories that must stay: the output may not be one of them nor hold one. */
  inputs: string[];
  /** This process writes a part; others write theirs into the same directory. */
  shard?: Shard | undefined;
  /** This process finishes what shards have written. */
  merge?: boolean | undefined;
  fs?: FileSystem | undefined;
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
  /** Files of the package with the bytes that each must have in the end. */
  readonly #sizes = new Map<string, number>();
  #journal: Journal | undefined;
  #isOver = false;

  /** @see openOutput */
  constructor(finalDir: string, options: OutputOptions) {
    this.finalDir = outputPath(finalDir);
    this.fs = options.fs ?? realFileSystem;
    this.#options = options;
    this.#state = stateDirectory(this.finalDir, this.fs);
    this.dir = join(this.#state, PACKAGE);
    try {
      const isNew = !this.fs.existsSync(this.#state);
      // Before the disk is touched, and once more when nobody else can be at work in the same place.
      if (isNew) this.#refuseTaken();
      if (options.merge && isNew) {
        throw new InvalidInputError(
          `${finalDir}: there are no parts to merge (no ${this.#state}).`,
          'run convert --shard i/n with the same -o for every part first.',
        );
      }
      refuseForeign(this.#state, this.fs);
      this.#unlock = takeLock(this.#path(`lock-${this.#label}`), this.#what, this.fs);
      try {
        this.#refuseOthers();
        this.fs.mkdirSync(this.dir, { recursive: true });
        this.#finishCommit();
        this.#refuseTaken();
      } catch (error) {
        this.release();
        throw error;
      }
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
      for (const name of [...this.#journals(), PLAN]) this.fs.rmSync(this.#path(name), { force: true });
      this.fs.mkdirSync(this.dir, { recursive: true });
    }
    this.#journal = Journal.open(own, identity, this.fs);
    const finished: FinishedUnits = new Map();
    for (const journal of isOther ? [] : journals) {
      for (const [unit, done] of journal.finished) finished.set(unit, done);
    }
    return finished;
  }

  /** How many shards the work is divided into, as their journals say; 0 where there is none or no such number. */
  shardCount(): number {
    const counts = this.#journals().map((name) => Number(/-of-(\d{1,5})$/.exec(name)?.[1] ?? 0));
    return Math.max(0, ...counts);
  }

  /** Notes a finished unit in this process's journal. */
  record(unit: number, done: FinishedUnit): void {
    this.#journal?.record(unit, done);
  }

  /** The plan that the first shard left here, undefined before that. */
  readPlan(): StoredPlan | undefined {
    return readStoredPlan(this.#path(PLAN), this.fs);
  }

  /** Leaves the plan for `merge`. The same work has the same plan: whoever comes later finds it written. */
  storePlan(plan: StoredPlan): void {
    const known = this.readPlan();
    if (!known)
      this.#replace(this.#path(PLAN), (path) => this.fs.writeFileSync(path, storedPlanText(plan), { flag: 'wx' }));
    if ((known ?? this.readPlan())?.identity !== plan.identity) throw this.#mixed();
  }

  /** Writes a small file of the package. */
  writeFile(name: string, content: string | Uint8Array): void {
    this.#replace(this.file(name), (path) => this.fs.writeFileSync(path, content, { flag: 'wx' }));
    this.#sizes.set(name, this.fs.lstatSync(this.file(name)).size);
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

  /** Makes the data files with their final sizes; of those that are there already the bytes stay. */
  allocate(files: readonly PlannedFile[]): void {
    for (const { name, nbytes } of files) allocate(this.file(name), nbytes, this.fs);
    this.expect(files);
  }

  /** Throws where a data file is not there, is no plain file or has another size, now and once more before the package gets its name. */
  expect(files: readonly PlannedFile[]): void {
    for (const { name, nbytes } of files) this.#sizes.set(name, nbytes);
    for (const { name, nbytes } of files) checkWritten(this.file(name), nbytes, this.fs);
  }

  /** Forgets what this process has finished: it was made of an input that changed. */
  forget(): void {
    this.#journal?.close();
    this.#journal = undefined;
    // Files without a journal would be nobody's.
    if (this.#journals().length === 1) this.fs.rmSync(this.dir, { recursive: true, force: true });
    this.fs.rmSync(this.#path(`journal-${this.#label}`), { force: true });
  }

  /** Takes a file over unchanged. A merge leaves alone what the shards have brought. */
  copyFile(name: string, source: string): void {
    const isThere = this.fs.lstatSync(this.file(name), { throwIfNoEntry: false })?.isFile();
    if (!(this.#options.merge && isThere)) {
      // Opened first: an error of copying does not say which of the two files it means.
      this.fs.closeSync(openInput(source, this.fs).descriptor);
      this.#replace(this.file(name), (path) => this.fs.copyFileSync(source, path, constants.COPYFILE_EXCL));
    }
    this.#sizes.set(name, this.fs.lstatSync(this.file(name)).size);
  }

  /** Path of a package file while the package grows. Names that lead out of the package are refused. */
  file(name: string): string {
    if (isAbsolute(name) || name.split(/[\\/]/).includes('..') || name === '') {
      throw new InvalidInputError(`"${name}" is no file name inside a package.`);
    }
    return join(this.dir, name);
  }

  /**
   * Gives the package its final name. What stood there before is gone only when the new one is in place. Throws and keeps
   * finished work where a file of the package is not what was written, or where something new stands in its place.
   */
  commit(): void {
    const { fs } = this;
    for (const [name, nbytes] of this.#sizes) checkWritten(this.file(name), nbytes, fs);
    // Once more: what stands there may have come or changed while the work went on.
    const state = this.#refuseTaken();
    try {
      if (isInside(this.#state, this.finalDir)) {
        fs.writeFileSync(this.#path(COMPLETE), '');
        this.#fill();
      } else if (state === 'ours') {
        const replaced = this.#path(REPLACED);
        fs.renameSync(this.finalDir, replaced);
        try {
          fs.renameSync(this.dir, this.finalDir);
        } catch (error) {
          fs.renameSync(replaced, this.finalDir);
          throw error;
        }
      } else {
        if (state === 'empty') fs.rmdirSync(this.finalDir);
        fs.renameSync(this.dir, this.finalDir);
      }
    } catch (error) {
      this.#end();
      throw unwritable(this.finalDir, error);
    }
    this.#end('remove');
  }

  /** Ends without a package, after `commit` without effect; keeps what the same command needs to continue, if anything. */
  release(): void {
    if (this.#isOver) return;
    const isOfUse =
      this.#journal !== undefined || this.#journals().length > 0 || this.fs.existsSync(this.#path(REPLACED));
    this.#end(isOfUse ? 'keep' : 'remove');
  }

  /** Ends without a package and keeps nothing. */
  discard(): void {
    if (this.#isOver) return;
    this.#end('remove');
  }

  /**
   * Closes and unlocks. What is removed goes before the lock does: once it is free, another process may already write
   * into the same directory, which goes only if it is empty.
   */
  #end(state: 'keep' | 'remove' = 'keep'): void {
    const { fs } = this;
    this.#isOver = true;
    this.#journal?.close();
    this.#journal = undefined;
    const isRemoved = state === 'remove' && this.#othersAtWork().length === 0;
    try {
      const own = `lock-${this.#label}`;
      const found = isRemoved ? fs.readdirSync(this.#state).filter((name) => name !== own) : [];
      // Killed in between, what says whose files these are must still be there.
      for (const name of inOrderOfRemoval(found)) fs.rmSync(this.#path(name), { recursive: true, force: true });
    } finally {
      this.#unlock();
    }
    if (!isRemoved) return;
    try {
      fs.rmdirSync(this.#state);
    } catch {
      // Another process has begun there.
    }
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

  /** What stands under the final name, if this work may take its place; else throws UsageError. */
  #refuseTaken(): DirectoryState {
    return outputDirectory(this.finalDir, this.#options).state;
  }

  /**
   * A kill inside `commit` leaves the old package aside: without its name, or with the new one in its place. Where the
   * place is filled it leaves a part of the new one in it, and the rest follows.
   */
  #finishCommit(): void {
    const { fs } = this;
    if (fs.existsSync(this.#path(COMPLETE)) && isInside(this.#state, this.finalDir)) {
      this.#fill();
      // The package is there: nothing of the work is left to continue.
      for (const name of [...this.#journals(), COMPLETE]) fs.rmSync(this.#path(name), { force: true });
      throw new UsageError(
        `${this.finalDir}: an interrupted run had not yet moved all of its package there; it is complete now.`,
        'use it, or take its files away and run the same command again.',
      );
    }
    const replaced = this.#path(REPLACED);
    if (!fs.existsSync(replaced)) return;
    if (!fs.existsSync(this.finalDir)) fs.renameSync(replaced, this.finalDir);
    else if (fs.readdirSync(this.dir).length === 0) fs.rmSync(replaced, { recursive: true, force: true });
    else {
      // The new package has not got the name: whatever has it now came after the kill.
      throw new UsageError(
        `${this.finalDir}: has come while the package that stood there before is in ${replaced}.`,
        'move one of the two away, and run the same command again.',
      );
    }
  }

  /** Moves what is complete into a place that cannot be replaced; nothing that is there is overwritten. */
  #fill(): void {
    const { fs } = this;
    for (const name of fs.readdirSync(this.dir)) {
      const place = join(this.finalDir, name);
      if (fs.lstatSync(place, { throwIfNoEntry: false })) {
        throw new UsageError(
          `${place}: has come into the output while it was written.`,
          'move it away, or another -o.',
        );
      }
      fs.renameSync(join(this.dir, name), place);
    }
  }

  #replace(path: string, write: (temporary: string) => void): void {
    const temporary = join(this.#state, `${process.pid}-${this.#label}.tmp`);
    try {
      this.fs.mkdirSync(dirname(path), { recursive: true });
      // Whatever stands there, a link too, is not written to.
      this.fs.rmSync(temporary, { force: true });
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
