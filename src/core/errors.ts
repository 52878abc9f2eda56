import { message as told } from './printable.js';

/**
 * Errors that a user can act on. Each says where, what was found, what was needed and what to do, and carries the
 * exit code of the command: 1 a verification or gate failed, 2 usage, 3 invalid or unsupported input,
 * 4 the environment failed, 130 interrupted. Anything that is not one of these is a defect of halfbyte. Names from files
 * may stand in them as they are: a message is one printable line, and long values in quotes are cut.
 */
export class HalfbyteError extends Error {
  readonly advice: string | undefined;

  constructor(
    readonly exitCode: 1 | 2 | 3 | 4 | 130,
    message: string,
    advice?: string,
  ) {
    super(told(message));
    this.advice = advice === undefined ? undefined : told(advice);
    this.name = new.target.name;
  }

  /** The full text for a terminal: the message and, on a line of its own, the advice. */
  get report(): string {
    return this.advice ? `${this.message}\nTry this: ${this.advice}` : this.message;
  }
}

/** A gate or a verification did not hold. */
export class VerificationError extends HalfbyteError {
  constructor(message: string, advice?: string) {
    super(1, message, advice);
  }
}

/** The command line asks for something that does not exist or does not fit together. */
export class UsageError extends HalfbyteError {
  constructor(message: string, advice?: string) {
    super(2, message, advice);
  }
}

/** A checkpoint, package or data file is damaged, contradictory or of an unsupported kind. */
export class InvalidInputError extends HalfbyteError {
  constructor(message: string, advice?: string) {
    super(3, message, advice);
  }
}

/** The machine failed: disk full, no permission, a missing runtime. */
export class EnvironmentError extends HalfbyteError {
  constructor(message: string, advice?: string) {
    super(4, message, advice);
  }
}

/** The user or the system asked the command to stop. */
export class InterruptedError extends HalfbyteError {
  constructor(message: string, advice?: string) {
    super(130, message, advice);
  }
}
