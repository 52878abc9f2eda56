import { join } from 'node:path';
import { EnvironmentError, InterruptedError, InvalidInputError } from '../../core/errors.js';
import { isFile } from '../../formats/package-reader.js';
import { writeSafetensors } from '../../formats/safetensors-writer.js';
import { idTensors } from './id-tensors.js';
import { openStoredReference, type StoredReference, type StoredSet } from './stored-reference.js';

/** A program that answers token ids with logits: docs/reference-command.md. */
export interface ReferenceCommand {
  /** Words are separated by spaces; a space inside a word is written with a backslash before it. */
  command: string;
  timeoutSeconds: number;
  signal?: AbortSignal | undefined;
}

/** A command that ended well answered wrongly: nothing about the package is wrong. */
export class WrongAnswer extends InvalidInputError {}

const ADVICE = 'run the command by hand; docs/reference-command.md says what it is given and must write.';

/**
 * Asks a command for the logits of sets of ids: they are written to `ids.safetensors` in `dir`, its path and that of
 * the answer are the command's last two arguments. The answer stays in `dir`, from where it is read as it is needed.
 * Throws EnvironmentError where the command is not there, fails or takes too long, InvalidInputError for a wrong answer.
 */
export async function askCommand(
  { command, timeoutSeconds, signal }: ReferenceCommand,
  sets: { name: string; sequences: number[][] }[],
  dir: string,
  vocabulary: number,
): Promise<StoredReference> {
  const { execa, parseCommandString } = await import('execa');
  const [file, ...words] = parseCommandString(command);
  const [question, answer] = ['ids.safetensors', 'logits.safetensors'].map((name) => join(dir, name));
  const ids = sets.flatMap(({ name, sequences }) => idTensors(name, sequences));
  writeSafetensors(
    question,
    ids.map(({ entry, data }) => ({ ...entry, data })),
  );
  const said = `--reference-command ${command}`;
  const result = await execa(file, [...words, question, answer], {
    timeout: timeoutSeconds * 1000,
    ...(signal ? { cancelSignal: signal } : {}),
    stdin: 'ignore',
    reject: false,
    // Progress bars of a long run: the end of it says why it failed.
    maxBuffer: 10_000_000,
  });
  if (result.isCanceled) throw new InterruptedError('Interrupted while the reference command ran.');
  if (result.timedOut) {
    throw new EnvironmentError(
      `${said}: had no answer after ${timeoutSeconds} seconds.`,
      'give it more time with --reference-timeout, or fewer tokens with --windows.',
    );
  }
  if (result.failed && result.exitCode === undefined && result.signal === undefined) {
    const reason = result.code === 'ENOENT' ? `there is no program "${file}"` : `"${file}" does not start`;
    throw new EnvironmentError(`${said}: ${reason}${result.code ? ` (${result.code})` : ''}.`, 'check its name.');
  }
  if (result.failed) {
    const lines = `${result.stderr || result.stdout}`
      .trim()
      .split('\n')
      .slice(-5)
      .map((line) => line.trim())
      .join(' | ');
    const how = result.signal ? `was ended by ${result.signal}` : `ended with exit code ${result.exitCode}`;
    throw new EnvironmentError(`${said}: ${how}${lines ? `: ${lines}` : ', saying nothing.'}`, ADVICE);
  }
  if (!isFile(answer)) throw new WrongAnswer(`${said}: ended well but wrote no ${answer}.`, ADVICE);
  const stored = openAnswer(said, answer, question);
  for (const asked of sets) checkAnswer(said, asked, stored, vocabulary);
  return stored;
}

function openAnswer(said: string, answer: string, question: string): StoredReference {
  try {
    return openStoredReference(answer, question);
  } catch (error) {
    if (error instanceof InvalidInputError) throw new WrongAnswer(`${said}: ${error.message}`, ADVICE);
    throw error;
  }
}

function checkAnswer(said: string, { name }: { name: string }, { sets }: StoredReference, vocabulary: number): void {
  const found: StoredSet | undefined = sets.find((each) => each.name === name);
  const wrong = (what: string) => new WrongAnswer(`${said}: ${what}.`, ADVICE);
  if (!found) throw wrong(`its answer has no logits for ${name}`);
  if (found.vocabulary !== vocabulary) {
    throw wrong(`its logits of ${name} have ${found.vocabulary} values a token; the model has ${vocabulary}`);
  }
}
