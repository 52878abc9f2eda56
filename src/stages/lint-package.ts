import { InvalidInputError, UsageError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import type { LintedGraph } from '../core/lint.js';
import { own } from '../core/own.js';
import type { Target } from '../core/target.js';
import { readPackageModel } from '../formats/onnx-reader.js';
import { openPackage, type Package, pipelineStagesOf, sizeInPackage } from '../formats/package-reader.js';
import { find, ids, unknownId } from '../registry.js';
import { lintRuntime } from '../targets/lint/lint.js';
import { asksProvider, type LintReport, lintReport } from './lint.js';

/** Asks for the rules of ONNX Runtime GenAI alone, which hold whatever device computes. */
const RUNTIME = 'genai';

async function lintOf(id: string): Promise<NonNullable<Target['lint']>> {
  if (id === RUNTIME) return lintRuntime;
  const target: Target | undefined = await find('targets', id);
  if (target?.lint) return target.lint;
  const linted = [];
  for (const each of ids('targets')) if ((await find('targets', each))?.lint) linted.push(each);
  const found = target ? `the target ${id} has no rules` : unknownId('targets', id);
  throw new UsageError(`--lint ${id}: ${found}; devices with rules are ${linted.join(', ')}.`, `--lint ${linted[0]}.`);
}

/** The graphs that genai_config.json names, those that are there. */
function graphsOf(opened: Package): LintedGraph[] {
  const { decoder } = opened.genai.model;
  const stages = pipelineStagesOf(opened.genai).map(({ filename, session_options }) => ({ filename, session_options }));
  if (decoder.filename) stages.push({ filename: decoder.filename, session_options: decoder.session_options });
  return stages
    .filter(({ filename }) => sizeInPackage(opened, filename) !== undefined)
    .map(({ filename, session_options }) => ({
      file: filename,
      ...readPackageModel(opened.dir, filename),
      onDevice: asksProvider(session_options),
    }));
}

/** Reads the graphs of a package and holds them to a device's rules. Throws UsageError, and InvalidInputError for no package. */
export async function lintPackage(dir: string, target: string): Promise<LintReport> {
  const lint = await lintOf(target);
  const opened = openPackage(dir);
  const graphs = graphsOf(opened);
  if (graphs.length === 0) {
    throw new InvalidInputError(`${dir}: none of the graphs that genai_config.json names is here.`, 'copy it again.');
  }
  const files = own<number>();
  for (const { external } of graphs) {
    for (const { file } of Object.values(external)) {
      const size = sizeInPackage(opened, file);
      if (size !== undefined) files[file] = size;
    }
  }
  return lintReport(target, lint({ graphs, genai: opened.genai as unknown as JsonObject, files }));
}
