import type { VerifyReport } from '../core/verify-report.js';
import { openReportFiles } from './report-files.js';
import { verifyJson } from './verify-json.js';
import { verifyJunit } from './verify-junit.js';

/** The files of `verify --report`: a page for people, JUnit for CI, JSON for programs. */
export const verifyReportFiles = (paths: readonly string[]) =>
  openReportFiles<VerifyReport>(paths, {
    '.html': async (report) => (await import('./verify-page.js')).verifyPage(report),
    '.json': verifyJson,
    '.xml': verifyJunit,
  });
