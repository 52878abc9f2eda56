import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { EnvironmentError, UsageError } from '../core/errors.js';

/** Writers of a report by the ending of its file. */
export type ReportWriters<R> = Record<string, (report: R) => string | Promise<string>>;

/**
 * The files of `--report`: each has a known ending, else UsageError. Whether their places may be written is for `places`.
 * `write` makes missing folders and replaces what is there once the new file is whole.
 */
export function openReportFiles<R>(
  paths: readonly string[],
  writers: ReportWriters<R>,
): { write(report: R): Promise<void> } {
  for (const path of paths) {
    if (!Object.hasOwn(writers, endingOf(path))) {
      const endings = Object.keys(writers);
      throw new UsageError(
        `--report ${path}: the ending says what is written; there are ${endings.join(', ')}.`,
        `--report ${path}${endings[0]}.`,
      );
    }
  }
  return {
    async write(report) {
      for (const path of paths) replace(path, await writers[endingOf(path)](report));
    },
  };
}

const endingOf = (path: string) => extname(path).toLowerCase();

function replace(path: string, content: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): EnvironmentError {
  return new EnvironmentError(
    `--report ${path}: cannot be written (${(error as NodeJS.ErrnoException).code}).`,
    'check the folder and its permissions, or write the report elsewhere.',
  );
}
