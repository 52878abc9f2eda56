import { accessSync, constants, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { EnvironmentError, UsageError } from '../core/errors.js';
import type { VerifyReport } from '../core/verify-report.js';
import { verifyJson } from './verify-json.js';
import { verifyJunit } from './verify-junit.js';

type Writer = (report: VerifyReport) => string | Promise<string>;

const WRITERS: Record<string, Writer> = {
  '.html': async (report) => (await import('./verify-page.js')).verifyPage(report),
  '.json': verifyJson,
  '.xml': verifyJunit,
};

/**
 * The files of `--report`, checked before the long work: a known ending (else UsageError), a folder, made where it is
 * missing, that can be written to (else EnvironmentError). `write` replaces what is there once the new file is whole.
 */
export function openReportFiles(paths: readonly string[]): { write(report: VerifyReport): Promise<void> } {
  const files = paths.map((path) => ({ path, writer: writerOf(path) }));
  for (const { path } of files) checkWritable(path);
  return {
    async write(report) {
      for (const { path, writer } of files) replace(path, await writer(report));
    },
  };
}

function writerOf(path: string): Writer {
  const writer = WRITERS[extname(path).toLowerCase()];
  if (writer) return writer;
  throw new UsageError(
    `--report ${path}: the ending says what is written; there are ${Object.keys(WRITERS).join(', ')}.`,
    `--report ${path}.html for people, .xml (JUnit) for CI, .json for programs.`,
  );
}

function checkWritable(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    accessSync(dirname(path), constants.W_OK);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory()) throw new UsageError(`--report ${path}: is a directory.`, 'give the name of a file.');
    if (found) accessSync(path, constants.W_OK);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw unwritable(path, error);
  }
}

function replace(path: string, content: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): EnvironmentError {
  const { code } = error as NodeJS.ErrnoException;
  return new EnvironmentError(
    `--report ${path}: cannot be written (${code}).`,
    'check the folder and its permissions, or write the report elsewhere.',
  );
}
