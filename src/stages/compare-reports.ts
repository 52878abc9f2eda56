import { InvalidInputError, UsageError } from '../core/errors.js';
import type { ReportComparison } from '../core/verify-comparison.js';
import type { VerifyReport } from '../core/verify-report.js';
import { LARGEST } from '../formats/input-file.js';
import { readJsonObject } from '../formats/text.js';
import { compareReports } from '../report/compare-reports.js';
import { compareText } from '../report/compare-text.js';
import { checkVerifyReport } from '../report/verify-json.js';

/** Reads two reports of verify and says what changed from the first to the second. */
export async function compareReportFiles(files: readonly string[]): Promise<ReportComparison> {
  if (files.length !== 2) {
    throw new UsageError(
      `--compare: two reports are needed, ${files.length} given.`,
      'halfbyte verify --compare before.json after.json.',
    );
  }
  const [before, after] = await Promise.all(files.map(readVerifyReport));
  return compareReports({ file: files[0], report: before }, { file: files[1], report: after });
}

/** The comparison as text for a terminal. */
export const describeComparison = compareText;

/** Reads a report of verify. Throws InvalidInputError for anything else. */
export async function readVerifyReport(file: string): Promise<VerifyReport> {
  const value = readJsonObject(file, LARGEST.lists);
  if (!value) throw new InvalidInputError(`${file}: there is no such file.`, 'check the path.');
  return checkVerifyReport(file, value);
}
