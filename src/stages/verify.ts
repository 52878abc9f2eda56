import { join } from 'node:path';
import { UsageError } from '../core/errors.js';
import type { ProgressListener } from '../core/progress.js';
import type { VerifyReport } from '../core/verify-report.js';
import { VERSION } from '../core/version.js';
import { ggufFileAt } from '../formats/gguf/checkpoint.js';
import { isFile, isPackage, openPackage } from '../formats/package-reader.js';
import { readText } from '../formats/text.js';
import { checkOutputFiles, type OutputFile } from '../places/files.js';
import { verifyReportFiles } from '../report/verify-files.js';
import { verifyText } from '../report/verify-text.js';
import { provenanceOf } from '../verify/files/provenance.js';
import { openReference } from '../verify/referees/open-reference.js';
import type { ReferenceCommand } from '../verify/referees/reference-command.js';
import type { SaveSettings } from '../verify/referees/saved-reference.js';
import { placeOf } from '../verify/subject/checkpoint-place.js';
import { checkIds, parseIds } from '../verify/tokens/token-ids.js';
import { judgeGate, parseGate } from '../verify/verdict/gates.js';
import { judge } from '../verify/verdict/worst-verdict.js';
import { verifyCheckpoint } from '../verify/verify-checkpoint.js';
import { verifyPackage } from '../verify/verify-package.js';

export interface VerifyOptions {
  /** Directory of a package or of a quantized checkpoint, or a GGUF file. */
  path: string;
  /** A golden.safetensors, the directory of the original checkpoint, or both; may be left out where there is a command. */
  reference?: string | readonly string[] | undefined;
  /** A program that answers token ids with logits, as `python reference.py`, and the seconds that it may take. */
  referenceCommand?: string | undefined;
  referenceTimeout?: number | undefined;
  /** Where the reference's logits are kept; all of them, or so many of each position. */
  saveReference?: string | undefined;
  saveReferenceTop?: number | undefined;
  /** As `kl_divergence<0.02`. */
  gates: string[];
  /** A text whose perplexity is measured, in windows of 256 tokens that begin with the bos token. */
  text?: string | undefined;
  /** At most so many windows of it. */
  windows?: number | undefined;
  /** Token ids to compare on besides, as `1,2,3;4,5`. */
  ids?: string | undefined;
  /** Ambiguous counts as failed. */
  strict: boolean;
  threads?: number | undefined;
  /** Files to write the report to, .html, .json or .xml, whatever the verdict. */
  reports?: string[] | undefined;
  /** Replace files at the places of reports and of the saved reference that halfbyte did not write. */
  force?: boolean | undefined;
  /** The command line, for the report. */
  reproduce: string;
  onProgress: ProgressListener;
  signal?: AbortSignal | undefined;
}

/** Whether a path is a checkpoint, a GGUF file among them, rather than a package. */
const isCheckpoint = (path: string): boolean =>
  !isPackage(path) && (ggufFileAt(path) !== undefined || isFile(join(path, 'config.json')));

/**
 * Verifies a package or a quantized checkpoint against a reference and judges structure, weights, integrity and gates.
 * What differs is a verdict of the report, not an error: InvalidInputError only where one of the two cannot be read.
 */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
  const gates = options.gates.map(parseGate);
  const files = verifyReportFiles(options.reports ?? []);
  checkOutputFiles(placesOf(options), {
    force: options.force ?? false,
    inputs: [options.path, options.reference, options.text].flat().filter((each) => each !== undefined),
  });
  const ids = options.ids === undefined ? undefined : parseIds(options.ids);
  // What is missing is missing before anything long starts, and is no verdict.
  if (options.text !== undefined) readText(options.text);
  const opened = isCheckpoint(options.path) ? null : openPackage(options.path);
  const reference = await openReference([options.reference ?? []].flat(), commandOf(options), options);
  if (ids) checkIds(ids, reference.model?.config.vocab_size ?? opened?.genai.model.vocab_size);
  const isGated = gates.length > 0;
  const settings = { ...options, ids, isGated, save: saveOf(options) };
  const { subject, findings } = opened
    ? await verifyPackage(opened, reference, settings)
    : await verifyCheckpoint(options.path, reference, settings);
  for (const gate of gates) findings.checks.push(...judgeGate(gate, findings));
  const { verdict, summary } = judge(findings);
  const report: VerifyReport = {
    formatVersion: 1,
    tool: { name: 'halfbyte', version: VERSION },
    verdict,
    summary,
    strict: options.strict,
    subject,
    reference: { kind: reference.kind, path: reference.path },
    ...findings,
    reproduce: options.reproduce,
    provenance: await provenanceOf(opened ? options.path : placeOf(options.path).dir, reference),
  };
  await files.write(report);
  return report;
}

const placesOf = ({ reports = [], saveReference }: VerifyOptions): OutputFile[] => [
  ...reports.map((path) => ({ flag: '--report', path })),
  ...(saveReference === undefined ? [] : [{ flag: '--save-reference', path: saveReference }]),
];

const DEFAULT_TIMEOUT = 3600;

const commandOf = ({ referenceCommand, referenceTimeout, signal }: VerifyOptions): ReferenceCommand | null =>
  referenceCommand === undefined
    ? null
    : { command: referenceCommand, timeoutSeconds: referenceTimeout ?? DEFAULT_TIMEOUT, signal };

function saveOf({ saveReference, saveReferenceTop }: VerifyOptions): SaveSettings | undefined {
  if (saveReference !== undefined) return { file: saveReference, top: saveReferenceTop };
  if (saveReferenceTop === undefined) return undefined;
  throw new UsageError(
    '--save-reference-top: there is no --save-reference.',
    '--save-reference reference.safetensors.',
  );
}

/** The report as text for a terminal. */
export const describeVerify = verifyText;
