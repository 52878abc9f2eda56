import type { QuantizeReport } from '../core/quantize-report.js';
import { quantizeHtml } from './quantize-html.js';
import { openReportFiles } from './report-files.js';

/** The files of `quantize --report`, checked at once and written when there is something to report. */
export const quantizeReportFiles = (paths: readonly string[]) =>
  openReportFiles<QuantizeReport>(paths, {
    '.html': quantizeHtml,
    '.json': (report) => `${JSON.stringify(report, null, 1)}\n`,
  });
