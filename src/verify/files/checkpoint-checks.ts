import type { Check } from '../../core/verify-report.js';
import type { Model } from '../../model/model.js';
import type { checkpointManifest } from '../subject/checkpoint-place.js';
import { checkSourceConfig } from './config-checks.js';
import { checkFiles } from './file-digests.js';

/** The files of a checkpoint that halfbyte wrote against the digests that it keeps of them. */
export async function checkCheckpointFiles(
  dir: string,
  manifest: ReturnType<typeof checkpointManifest>,
): Promise<Check[]> {
  if (!manifest) return [];
  return checkFiles({ dir }, { ...manifest, tensors: {} });
}

/**
 * config.json and generation_config.json against the reference's. A GGUF file has a config, but no place for settings
 * of sampling, and a padding token where the tokenizer has one, whatever config.json says.
 */
export function checkCheckpointConfigs(own: Model, reference: Model | null, isContainer = false): Check[] {
  const [mine, theirs] = [own.checkpoint, reference?.checkpoint];
  if (!reference || !theirs) return [];
  const checks = checkSourceConfig(own.config, reference.config);
  const tokens = ['bos_token_id', 'eos_token_id', 'pad_token_id'].filter(
    (key) => !isContainer || theirs.config[key] !== undefined,
  );
  const settings = isContainer
    ? []
    : [...new Set([...Object.keys(mine.generationConfig), ...Object.keys(theirs.generationConfig)])];
  const expected: [file: string, key: string, found: unknown, wanted: unknown][] = [
    ...tokens.map((key): [string, string, unknown, unknown] => [
      'config.json',
      key,
      asList(mine.config[key]),
      asList(theirs.config[key]),
    ]),
    ...settings
      .filter((key) => key !== 'transformers_version')
      .map((key): [string, string, unknown, unknown] => [
        'generation_config.json',
        key,
        mine.generationConfig[key],
        theirs.generationConfig[key],
      ]),
  ];
  for (const [file, key, found, wanted] of expected) {
    if (JSON.stringify(found) === JSON.stringify(wanted)) continue;
    const message = `${file}: ${key} is ${JSON.stringify(found ?? null)}; the reference has ${JSON.stringify(wanted ?? null)}.`;
    checks.push({ id: `config ${key}`, group: 'integrity', verdict: 'fail', message, where: `${file} ${key}` });
  }
  return checks;
}

const asList = (value: unknown): unknown[] => [value ?? []].flat();
