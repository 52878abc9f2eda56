import { join } from 'node:path';
import { InvalidInputError } from '../../core/errors.js';
import type { Graph } from '../../core/graph.js';
import type { Check } from '../../core/verify-report.js';
import { readPackageModel } from '../../formats/onnx-reader.js';
import { operatorsOf, type Package, pipelineStagesOf, sizeInPackage } from '../../formats/package-reader.js';
import { readJsonObject } from '../../formats/text.js';
import type { TextTokenizer } from '../../runtime/tokenizer.js';
import type { Reference } from '../referees/open-reference.js';
import { manifestOf, modelOfPackage } from '../subject/package-manifest.js';
import { checkCompanions } from './companion-checks.js';
import {
  checkCacheSizes,
  checkGenaiConfig,
  checkGraphNames,
  checkOperators,
  checkSourceConfig,
} from './config-checks.js';
import { checkExternalData } from './external-data.js';
import { checkFiles } from './file-digests.js';
import { openOwnTokenizer } from './tokenizer-checks.js';

/** Elements of the largest constants that come with their values: no check reads weights from the graph. */
const CONSTANT_ELEMENTS = 1024;

export interface PackageIntegrity {
  checks: Check[];
  /** The graphs that could be read, by file. */
  graphs: Map<string, Graph>;
  tokenizer: TextTokenizer | null;
  /** Whether every file is there with its size, so that the package can be run. */
  isWhole: boolean;
}

/** Everything about a package that shows without running it, beside what is known of the reference. */
export async function checkPackage(
  opened: Package,
  { model: reference, checkpoint }: Pick<Reference, 'model' | 'checkpoint'>,
): Promise<PackageIntegrity> {
  const manifest = manifestOf(opened);
  const checks: Check[] = manifest ? await checkFiles(opened, manifest) : [];
  const graphs = new Map<string, Graph>();
  const others = Object.keys(manifest?.tensors ?? {}).filter((file) => !graphFilesOf(opened).includes(file));
  for (const file of [...graphFilesOf(opened), ...others]) {
    const read = readGraph(opened, file);
    if ('verdict' in read) {
      checks.push(read);
      continue;
    }
    if (!others.includes(file)) graphs.set(file, read.graph);
    checks.push(checkExternalData(opened, file, read.external));
    const operators = operatorsOf(opened, file);
    if (operators) checks.push(checkOperators(file, read.graph, operators));
  }
  if (graphs.size === graphFilesOf(opened).length) {
    checks.push(checkGraphNames(opened, graphs), ...checkCacheSizes(opened, graphs));
  }

  const own = manifest ? await modelOfPackage(opened, manifest) : null;
  const model = reference ?? own;
  if (model) {
    const { config } = model.checkpoint;
    const generationConfig =
      reference?.checkpoint.generationConfig ?? readJsonObject(join(opened.dir, 'generation_config.json')) ?? {};
    const contextLength = manifest?.options.contextLength ?? null;
    checks.push(...checkGenaiConfig(opened, { config, generationConfig, decoder: model.config, contextLength }));
  }
  if (own && reference) checks.push(...checkSourceConfig(own.config, reference.config));

  const { tokenizer, checks: found } = await openOwnTokenizer(
    opened.dir,
    opened.genai.model.vocab_size,
    checkpoint?.model.checkpoint.dir ?? null,
  );
  checks.push(...found);
  if (checkpoint) checks.push(...(await checkCompanions(opened.dir, manifest, checkpoint.model.checkpoint)));
  const names = manifest?.files.map(({ name, size }) => [name, size] as const) ?? [];
  const hasData = !checks.some(({ id, verdict }) => verdict === 'fail' && id.startsWith('external data'));
  const isWhole = graphs.size > 0 && hasData && names.every(([name, size]) => sizeInPackage(opened, name) === size);
  return { checks, graphs, tokenizer, isWhole };
}

function readGraph(opened: Package, file: string): ReturnType<typeof readPackageModel> | Check {
  const fail = (message: string): Check => ({
    id: `graph ${file}`,
    group: 'integrity',
    verdict: 'fail',
    message,
    where: file,
  });
  if (sizeInPackage(opened, file) === undefined) return fail(`${file}: is missing; the package lists it.`);
  try {
    return readPackageModel(opened.dir, file, CONSTANT_ELEMENTS);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return fail(error.message);
  }
}

/** The graph files of a package, as genai_config.json names them. */
export function graphFilesOf(opened: Package): string[] {
  const stages = pipelineStagesOf(opened.genai).map(({ filename }) => filename);
  return [...new Set(stages.length > 0 ? stages : [opened.genai.model.decoder.filename ?? 'model.onnx'])];
}
