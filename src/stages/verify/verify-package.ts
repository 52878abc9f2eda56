import { UsageError } from '../../core/errors.js';
import type { ProgressListener } from '../../core/types.js';
import type { VerifySubject } from '../../core/verify-report.js';
import type { Package } from '../../formats/package-reader.js';
import { readText } from '../../formats/text.js';
import { readTokenizerFiles } from '../../formats/tokenizer-files.js';
import { openDecoder } from '../../runtime/open-decoder.js';
import { openTokenizer, type TextTokenizer } from '../../runtime/tokenizer.js';
import { PackageWeights } from '../package-weights.js';
import { type Engine, engineOn, type ReferenceCheckpoint } from './engine.js';
import { type Findings, noFindings } from './findings.js';
import { positionMetrics } from './logit-comparison.js';
import { allowanceOf } from './rounding.js';
import { type RunContext, runChecks, runDecoding } from './run-checks.js';
import { measurePerplexity, type TextToMeasure } from './run-package.js';
import type { StoredReference } from './stored-reference.js';
import { checkManifest, describePackage, drawnDecoder, manifestOf, modelOfConfig } from './subject.js';
import type { TokenSet } from './token-sets.js';

export interface PackageSettings {
  text?: string;
  windows?: number;
  ids?: number[][];
  threads?: number;
  signal?: AbortSignal;
  onProgress: ProgressListener;
}

/** Windows of a text as the perplexity of the fixtures defines them. */
const WINDOW_TOKENS = 256;

/** Verifies a package against stored logits, a checkpoint, or both. */
export async function verifyPackage(
  opened: Package,
  stored: StoredReference | null,
  checkpoint: ReferenceCheckpoint | null,
  settings: PackageSettings,
): Promise<{ subject: VerifySubject; findings: Findings }> {
  checkManifest(opened);
  const findings = noFindings();
  const manifest = manifestOf(opened);
  const tokenizerFiles = readTokenizerFiles(opened.dir);
  const tokenizer = tokenizerFiles === null ? null : await openTokenizer(tokenizerFiles, opened.dir);
  const decoder = await openDecoder(opened, { threads: settings.threads });
  const engines: Engine[] = [];
  try {
    const model = checkpoint?.model ?? (manifest ? await modelOfConfig(opened.dir, manifest.checkpoint.config) : null);
    const drawn = model && manifest ? drawnDecoder(model, manifest.options.contextLength) : null;
    const weights = manifest && drawn ? new PackageWeights(opened.dir, manifest, drawn) : null;
    const own = weights && drawn ? engineOn(drawn, (files) => weights.lookup(files), settings) : null;
    if (own) engines.push(own);
    const reference = checkpoint?.engine(manifest?.options.contextLength ?? decoder.contextLength) ?? null;
    if (reference) engines.push(reference);
    const context: RunContext = {
      opened,
      decoder,
      own,
      reference,
      isLossless: Boolean(manifest) && weightsAreFloat32(manifest?.tensors ?? {}),
      allowance:
        manifest && drawn ? allowanceOf(manifest, drawn) : { isExact: false, relative: 1, reason: 'no manifest' },
      metrics: await positionMetrics(),
      textOf: (id) => tokenizer?.decode([id]) ?? null,
      signal: settings.signal,
    };
    const sets = (stored?.sets ?? []).map(
      (set): TokenSet => ({ name: set.name, sequences: set.sequences, stored: set }),
    );
    const fitting = sets.filter((set) => set.sequences[0].length <= decoder.contextLength);
    for (const set of sets.filter((each) => !fitting.includes(each))) {
      findings.notes.push(`${set.name} is longer than the package's context of ${decoder.contextLength}: left out.`);
    }
    await runChecks(context, fitting, findings);
    await runDecoding(context, fitting, stored, findings);
    if (settings.text !== undefined) {
      const text = textToMeasure(opened, tokenizer, settings);
      const onWindow = (done: number, total: number) =>
        settings.onProgress({ stage: 'perplexity', doneBytes: done, totalBytes: total, label: text.file });
      findings.perplexity = await measurePerplexity(decoder, text, onWindow, settings.signal);
    }
    const margin = reference?.margin ?? own?.margin ?? Number.POSITIVE_INFINITY;
    findings.routingMargin = Number.isFinite(margin) ? margin : null;
    return { subject: describePackage(opened), findings };
  } finally {
    for (const engine of engines) engine.close();
    await decoder.close();
  }
}

function weightsAreFloat32(tensors: Record<string, Record<string, { scheme: { scheme: string } }>>): boolean {
  return Object.values(tensors).every((each) => Object.values(each).every(({ scheme }) => scheme.scheme === 'f32'));
}

function textToMeasure(opened: Package, tokenizer: TextTokenizer | null, settings: PackageSettings): TextToMeasure {
  const file = settings.text as string;
  if (tokenizer === null) {
    throw new UsageError(
      `--text ${file}: ${opened.dir} has no tokenizer.json, so it cannot read text.`,
      'give token ids with --ids, or copy the tokenizer files of the checkpoint into the package.',
    );
  }
  return {
    file,
    ids: tokenizer.encodePlain(readText(file)),
    leading: opened.genai.model.bos_token_id ?? undefined,
    windowTokens: Math.min(WINDOW_TOKENS, opened.genai.model.context_length),
    windows: settings.windows ?? Number.POSITIVE_INFINITY,
  };
}
