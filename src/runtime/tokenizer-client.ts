import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { EnvironmentError, type HalfbyteError, InvalidInputError } from '../core/errors.js';
import type { TokenizerAnswer, TokenizerRequest, TokenizerSource } from './tokenizer-protocol.js';

/** How long one call may take: far above what opening a large vocabulary or reading a long prompt needs. */
const LIMIT_SECONDS = 30;

const ADVICE = 'use the tokenizer.json of the original model, or pass token ids.';

type Question = TokenizerRequest extends infer R ? (R extends unknown ? Omit<R, 'tokenizer'> : never) : never;

/**
 * A tokenizer of the library, which runs in a process of its own. Patterns come from the checkpoint: one can backtrack
 * for years, and where the library gives up it aborts its process (a panic that cannot unwind). Neither can be stopped
 * from inside, not even by exit(), which waits for the library's threads. So the process is one that can be killed.
 */
export class LibraryTokenizer {
  static #count = 0;
  readonly #number = LibraryTokenizer.#count++;
  #openedIn: LibraryProcess | undefined;

  /** `file` is what errors name: the path of tokenizer.json. */
  constructor(
    private readonly file: string,
    private readonly source: TokenizerSource,
    private readonly limitSeconds = LIMIT_SECONDS,
  ) {}

  /** Ids of a text; `withEnds` runs the post-processor. Throws InvalidInputError, as all calls do, where the library
   * refuses, aborts or does not end in time. */
  encode(text: string, withEnds: boolean): Promise<number[]> {
    return this.#ask({ kind: 'encode', text, withEnds }) as Promise<number[]>;
  }

  /** A text for each list of ids, special tokens left out. */
  decode(ids: number[][]): Promise<string[]> {
    return this.#ask({ kind: 'decode', ids }) as Promise<string[]>;
  }

  async #ask(question: Question): Promise<unknown> {
    const library = LibraryProcess.running();
    if (this.#openedIn !== library) {
      this.#openedIn = library;
      await this.#send(library, { kind: 'open', source: this.source });
    }
    return this.#send(library, question);
  }

  async #send(library: LibraryProcess, question: Question): Promise<unknown> {
    const answer = await library.ask({ ...question, tokenizer: this.#number } as TokenizerRequest, this.limitSeconds);
    if (answer === 'late') {
      throw new InvalidInputError(
        `${this.file}: the tokenizer was not done with a text within ${this.limitSeconds} s: a pattern of it never ends.`,
        ADVICE,
      );
    }
    if (answer === 'ended') throw library.failure(this.file);
    if ('error' in answer) {
      const what = question.kind === 'open' ? 'not a tokenizer that the library reads: ' : '';
      throw new InvalidInputError(`${this.file}: ${what}${answer.error.slice(0, 400)}.`, ADVICE);
    }
    return answer.value;
  }
}

/** The process, shared by all tokenizers: starting one takes 50 ms. A new one follows one that ended. */
class LibraryProcess {
  static #running: LibraryProcess | undefined;
  readonly #child = start();
  /** Calls follow one another, so that an answer is that of the pending question. */
  #turn: Promise<unknown> = Promise.resolve();
  #stderr = '';

  static running(): LibraryProcess {
    const last = LibraryProcess.#running;
    if (last?.isRunning) return last;
    LibraryProcess.#running = new LibraryProcess();
    return LibraryProcess.#running;
  }

  constructor() {
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      if (this.#stderr.length < 10_000) this.#stderr += chunk.toString();
    });
    // 'close' follows, which is what calls wait for
    this.#child.on('error', () => {});
    this.#hold(false);
  }

  get isRunning(): boolean {
    return this.#child.connected;
  }

  ask(request: TokenizerRequest, limitSeconds: number): Promise<TokenizerAnswer | 'ended' | 'late'> {
    const answer = this.#turn.then(() => this.#call(request, limitSeconds));
    this.#turn = answer.catch(() => {});
    return answer;
  }

  async #call(request: TokenizerRequest, limitSeconds: number): Promise<TokenizerAnswer | 'ended' | 'late'> {
    if (!this.isRunning) return 'ended';
    let isLate = false;
    const limit = setTimeout(() => {
      isLate = true;
      this.#child.kill('SIGKILL');
    }, limitSeconds * 1000);
    const done = new AbortController();
    this.#hold(true);
    try {
      const waits = ['message', 'close'].map((event) => once(this.#child, event, { signal: done.signal }));
      for (const wait of waits) wait.catch(() => {});
      this.#child.send(request, () => {});
      const first = await Promise.race([waits[0], waits[1].then(() => null)]);
      if (first === null) return isLate ? 'late' : 'ended';
      return first[0] as TokenizerAnswer;
    } finally {
      clearTimeout(limit);
      done.abort();
      this.#hold(false);
    }
  }

  /** Why the process ended by itself. */
  failure(file: string): HalfbyteError {
    const panic = /panicked at [^\n]*\n([^\n]*)/.exec(this.#stderr)?.[1];
    if (panic !== undefined) {
      return new InvalidInputError(`${file}: the tokenizer library gave up: ${panic.trim()}.`, ADVICE);
    }
    const how = this.#child.signalCode ?? this.#child.exitCode;
    const said = this.#stderr.trim().split('\n').at(-1);
    return new EnvironmentError(
      `${file}: the process of the tokenizer library ended (${how}). ${said}`.trimEnd(),
      'install again: the package "tokenizers" holds binaries for Linux, macOS and Windows.',
    );
  }

  /** Whether the process keeps ours alive: only while it owes an answer. */
  #hold(isHeld: boolean): void {
    const { channel, stderr } = this.#child;
    for (const each of [this.#child, channel, stderr as unknown as { ref(): void; unref(): void } | null]) {
      if (isHeld) each?.ref();
      else each?.unref();
    }
  }
}

function start(): ChildProcess {
  // TypeScript sources, in development, need the loader that runs them.
  const isSource = import.meta.url.endsWith('.ts');
  const file = isSource
    ? new URL('../runtime/tokenizer-process.ts', import.meta.url)
    : new URL('../runtime/tokenizer-process.js', import.meta.url);
  return fork(fileURLToPath(file), [], {
    execArgv: isSource ? ['--import', import.meta.resolve('tsx/esm')] : [],
    env: { ...process.env, RUST_BACKTRACE: '0', NODE_OPTIONS: '' },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}
