import { Command } from '@oclif/core/command';
import { ExitError } from '@oclif/core/errors';
import { boolean } from '@oclif/core/flags';
import { InterruptedError } from './core/errors.js';
import { message } from './core/printable.js';
import type { ProgressListener } from './core/progress.js';
import { describeFailure, printFailure } from './report/failure.js';
import { type ProgressDisplay, showProgress } from './report/progress.js';

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

  /** Set to 1 by a command whose result says that a verification or gate failed; the result is still printed. */
  protected exitCode: 0 | 1 = 0;

  readonly #controller = new AbortController();
  readonly #displays: ProgressDisplay[] = [];
  #signalTaken = false;
  #readerGone = false;
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

  /** Says something on stderr that is no part of the result; dropped under `--json` and `--quiet`. */
  protected note(text: string): void {
    if (!this.#isSilent()) this.logToStderr(message(text));
  }

  protected override async init(): Promise<void> {
    await super.init();
    process.on('SIGINT', this.#interrupt);
    process.on('SIGTERM', this.#interrupt);
    process.stdout.on('error', this.#stopForReader);
  }

  protected override async _run<T>(): Promise<T> {
    const result = await super._run<T>();
    if (this.exitCode !== 0) throw new ExitError(this.exitCode);
    return result;
  }

  /** Prints the failure and throws what carries its exit code and, for callers in the same process, its text. */
  protected override async catch(error: Error): Promise<never> {
    if ((error as Partial<ExitError>).code === 'EEXIT') throw error;
    this.#stopProgress();
    if (this.#readerGone) throw new ExitError(0);
    const { reason } = this.#controller.signal;
    const interrupted = reason !== undefined && !(error instanceof InterruptedError);
    const failure = describeFailure(interrupted ? reason : error, `${this.config.bin} ${this.id} --help`);
    printFailure(failure, this.jsonEnabled());
    throw Object.assign(new ExitError(failure.code), { message: failure.message });
  }

  protected override async finally(error: Error | undefined): Promise<void> {
    this.#stopProgress();
    process.off('SIGINT', this.#interrupt);
    process.off('SIGTERM', this.#interrupt);
    process.stdout.off('error', this.#stopForReader);
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
    this.#stopProgress();
    printFailure(describeFailure(reason), this.jsonEnabled());
    process.exit(reason.exitCode);
  };

  /** `halfbyte generate ... | head` closes our stdout: stop working, and say nothing about it. */
  readonly #stopForReader = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') return;
    this.#readerGone = true;
    this.#controller.abort(new InterruptedError('The reader of stdout has gone.'));
  };

  #isSilent(): boolean {
    const end = this.argv.indexOf('--');
    const quiet = this.argv.indexOf('--quiet');
    return this.jsonEnabled() || (quiet !== -1 && (end === -1 || quiet < end));
  }

  #stopProgress(): void {
    for (const display of this.#displays.splice(0)) display.stop();
  }
}
