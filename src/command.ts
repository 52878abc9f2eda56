import { availableParallelism } from 'node:os';
import { Command } from '@oclif/core/command';
import { ExitError } from '@oclif/core/errors';
import { boolean } from '@oclif/core/flags';
import type { Input, ParserOutput } from '@oclif/core/interfaces';
import { EnvironmentError, InterruptedError, UsageError } from './core/errors.js';
import { message, printable } from './core/printable.js';
import type { ProgressListener } from './core/progress.js';
import { describeFailure, printFailure } from './report/failure.js';
import { type ProgressDisplay, showProgress } from './report/progress.js';

/** Threads above this number gain nothing, and each costs memory. */
const THREADS_PER_CORE = 4;

/** Two signals within so many milliseconds are one that came twice. */
const SAME_SIGNAL_MS = 300;

/**
 * The base of every command: `--json` and `--quiet`, exit codes that are the same with and without `--json`,
 * interruption, progress. A command parses its flags, calls one stage and returns the stage's result.
 */
export abstract class HalfbyteCommand extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    quiet: boolean({ description: 'Show no progress and no notes, only results and errors.', helpGroup: 'GLOBAL' }),
  };

  /** Set by a command whose result says that a verification or gate failed (1), or that the machine lacks something (4). */
  protected exitCode: 0 | 1 | 4 = 0;

  readonly #controller = new AbortController();
  readonly #displays: ProgressDisplay[] = [];
  readonly #notes: string[] = [];
  #signalTaken = false;
  #readerGone = false;
  #outputError: EnvironmentError | undefined;
  #interruptedAt: number | undefined;

  /** Fires on SIGINT and SIGTERM. A command that never asks for it is ended at once by either. */
  protected get signal(): AbortSignal {
    this.#signalTaken = true;
    return this.#controller.signal;
  }

  /** Shows progress on stderr until the command ends; a listener that does nothing under `--json` and `--quiet`. */
  protected progress(title: string): ProgressListener {
    if (this.#isSilent()) return () => {};
    const display = showProgress(title);
    this.#displays.push(display);
    return display.listener;
  }

  /** Says on stderr what was decided for the user or found on the way; under `--json` it is the result's `notes`. */
  protected note(text: string): void {
    const line = message(text);
    this.#notes.push(line);
    this.say(line);
  }

  /** Says something on stderr that is no part of the result; dropped under `--json` and `--quiet`. */
  protected say(text: string): void {
    if (this.#isSilent()) return;
    this.#clearProgress();
    this.logToStderr(printable(text));
  }

  /** So many threads as asked for, at most four a core: a note says where it is less. */
  protected threads(flag: '--threads' | '--workers', asked: number | undefined): number | undefined {
    const most = THREADS_PER_CORE * availableParallelism();
    if (asked === undefined || asked <= most) return asked;
    this.note(`${flag} ${asked}: ${most} are used, ${THREADS_PER_CORE} a core; more would only wait for each other.`);
    return most;
  }

  override log(message = '', ...args: unknown[]): void {
    this.#clearProgress();
    super.log(message, ...args);
  }

  /** The result as `--json` prints it: with the notes, those that it has itself first. */
  protected override toSuccessJson(result: unknown): unknown {
    const own = (result as { notes?: string[] }).notes ?? [];
    return { ...(result as object), notes: [...new Set([...own, ...this.#notes])] };
  }

  /** What oclif parses; an empty value, as an unset variable gives it, is an error where a text cannot be empty. */
  protected override async parse<F extends OutputFlags, B extends OutputFlags, A extends OutputArgs>(
    options?: Input<F, B, A>,
    argv?: string[],
  ): Promise<ParserOutput<F, B, A>> {
    const parsed = await super.parse(options, argv);
    for (const [name, value] of [...Object.entries(parsed.flags), ...Object.entries(parsed.args)]) {
      if (![value].flat().includes('') || MAY_BE_EMPTY.includes(name)) continue;
      const what = name in parsed.args ? `the ${name}` : `--${name}`;
      throw new UsageError(`${what} is empty.`, 'give it a value; a variable in its place may be unset.');
    }
    return parsed;
  }

  protected override async init(): Promise<void> {
    await super.init();
    process.on('SIGINT', this.#interrupt);
    process.on('SIGTERM', this.#interrupt);
    process.stdout.on('error', this.#stopForOutput);
  }

  protected override async _run<T>(): Promise<T> {
    try {
      const result = await super._run<T>();
      const failure = await written(process.stdout);
      if (failure) this.#stopForOutput(failure);
      if (this.#outputError) await this.catch(this.#outputError);
      if (this.exitCode !== 0 && !this.#readerGone) throw new ExitError(this.exitCode);
      return result;
    } finally {
      process.stdout.off('error', this.#stopForOutput);
    }
  }

  /** Prints the failure and throws what carries its exit code and, for callers in the same process, its text. */
  protected override async catch(error: Error): Promise<never> {
    if ((error as Partial<ExitError>).code === 'EEXIT') throw error;
    this.#clearProgress();
    if (this.#readerGone) throw new ExitError(0);
    const { reason } = this.#controller.signal;
    const interrupted = reason !== undefined && !(error instanceof InterruptedError);
    const cause = this.#outputError ?? (interrupted ? reason : error);
    const failure = describeFailure(cause, `${this.config.bin} ${this.id} --help`, [], this.#flagNames());
    // Where stdout takes nothing, stderr has to say so.
    printFailure(failure, this.jsonEnabled() && !this.#outputError, this.#notes);
    throw Object.assign(new ExitError(failure.code), { message: failure.message });
  }

  protected override async finally(error: Error | undefined): Promise<void> {
    this.#clearProgress();
    process.off('SIGINT', this.#interrupt);
    process.off('SIGTERM', this.#interrupt);
    await super.finally(error);
  }

  readonly #interrupt = (signalName: NodeJS.Signals): void => {
    // A terminal sends it to a program and to its child, which has it from its parent once more.
    const now = performance.now();
    if (this.#interruptedAt !== undefined && now - this.#interruptedAt < SAME_SIGNAL_MS && process.connected) return;
    this.#interruptedAt = now;
    const reason = new InterruptedError(`Interrupted by ${signalName}.`);
    if (this.#signalTaken && !this.#controller.signal.aborted) {
      this.#controller.abort(reason);
      return;
    }
    // A second signal, or a command without anything to put in order: do not wait for it.
    this.#clearProgress();
    printFailure(describeFailure(reason), this.jsonEnabled(), this.#notes);
    process.exit(reason.exitCode);
  };

  /** `halfbyte generate ... | head` closes our stdout: stop working, and say nothing. A full disk behind it is told. */
  readonly #stopForOutput = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'EPIPE') this.#readerGone = true;
    else
      this.#outputError ??= new EnvironmentError(
        `stdout: cannot be written (${error.code}).`,
        'check where it goes to.',
      );
    this.#controller.abort(this.#outputError ?? new InterruptedError('The reader of stdout has gone.'));
  };

  #flagNames(): string[] {
    const { flags, baseFlags } = this.ctor;
    return ['json', ...Object.keys({ ...baseFlags, ...flags })].map((name) => `--${name}`);
  }

  #isSilent(): boolean {
    const end = this.argv.indexOf('--');
    const quiet = this.argv.indexOf('--quiet');
    return this.jsonEnabled() || (quiet !== -1 && (end === -1 || quiet < end));
  }

  #clearProgress(): void {
    for (const display of this.#displays) display.clear();
  }
}

/** Arguments and flags that may be an empty text. */
const MAY_BE_EMPTY = ['prompt', 'system'];

type OutputFlags = Record<string, unknown>;
type OutputArgs = Record<string, unknown>;

/** Resolves when what was written to a stream has left, or with the reason why it cannot. */
const written = (stream: NodeJS.WriteStream) =>
  new Promise<NodeJS.ErrnoException | undefined>((resolve) => stream.write('', (error) => resolve(error ?? undefined)));
