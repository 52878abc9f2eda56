import { InvalidInputError } from '../core/errors.js';
import type { VerifyReport } from '../core/verify-report.js';

/** A report as `--json` prints it. */
export const verifyJson = (report: VerifyReport): string => `${JSON.stringify(report, null, 2)}\n`;

/** Takes the content of a file for what `verify --json` or `--report file.json` wrote. Throws InvalidInputError for anything else. */
export async function checkVerifyReport(file: string, value: unknown): Promise<VerifyReport> {
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
