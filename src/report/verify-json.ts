import { readFileSync } from 'node:fs';
import { EnvironmentError, InvalidInputError } from '../core/errors.js';
import type { VerifyReport } from '../core/verify-report.js';

/** A report as `--json` prints it. */
export const verifyJson = (report: VerifyReport): string => `${JSON.stringify(report, null, 2)}\n`;

/** Reads what `verify --json` or `--report file.json` wrote. Throws InvalidInputError for anything else. */
export async function readVerifyReport(file: string): Promise<VerifyReport> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, ''));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new InvalidInputError(`${file}: there is no such file.`, 'check the path.');
    if (code) throw new EnvironmentError(`${file}: cannot be read (${code}).`, 'check the permissions of this file.');
    throw new InvalidInputError(`${file}: is not valid JSON: ${message}.`, 'give a file of verify --report x.json.');
  }
  // Loaded here: no other use of a report reads one.
  const { verifyReportSchema } = await import('./verify-schema.js');
  const parsed = verifyReportSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  const at = path.length === 0 ? '' : ` ${path.join('.')}:`;
  throw new InvalidInputError(
    `${file}: is no report of verify of format version 1:${at} ${message}.`,
    'write it with verify --report x.json of this version.',
  );
}
