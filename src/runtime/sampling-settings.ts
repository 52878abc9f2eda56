import { InvalidInputError, UsageError } from '../core/errors.js';
import type { GenaiSearch } from '../formats/package-reader.js';
import type { SamplingSettings } from './sampler.js';

/** What a caller asks for; whatever is left out comes from the package. */
export interface SamplingRequest {
  /** Always the most likely token; not together with temperature, topK or topP. */
  greedy?: boolean | undefined;
  /** 0: greedy. */
  temperature?: number | undefined;
  topK?: number | undefined;
  topP?: number | undefined;
  repetitionPenalty?: number | undefined;
  seed?: number | undefined;
}

/**
 * Settings from the `search` section of genai_config.json and a request over it: asking for a temperature, top-k or
 * top-p is asking for sampling. Sampling without a seed takes a random one. Throws UsageError for values out of range.
 */
export function samplingSettings(search: GenaiSearch, asked: SamplingRequest = {}): SamplingSettings {
  const asksToSample = asked.temperature !== undefined || asked.topK !== undefined || asked.topP !== undefined;
  if (asked.greedy && asksToSample) {
    throw new UsageError('greedy takes no temperature, top-k or top-p: it always takes the most likely token.');
  }
  const temperature = asked.temperature ?? search.temperature;
  const doSample = !asked.greedy && temperature > 0 && (asksToSample || search.do_sample);
  if (search.num_beams > 1 && !doSample && !asked.greedy) {
    throw new InvalidInputError(
      `genai_config.json asks for a search with ${search.num_beams} beams, which generate does not have.`,
      'use --greedy, or sample with --temperature.',
    );
  }
  const settings = {
    doSample,
    temperature,
    topK: asked.topK ?? search.top_k,
    topP: asked.topP ?? search.top_p,
    repetitionPenalty: asked.repetitionPenalty ?? search.repetition_penalty,
    seed: asked.seed ?? (doSample ? Math.floor(Math.random() * 2 ** 32) : 0),
  };
  demand(settings.temperature >= 0 && Number.isFinite(settings.temperature), 'temperature', temperature, '0 or more');
  demand(Number.isInteger(settings.topK) && settings.topK >= 0, 'top-k', settings.topK, 'a whole number, 0 for all');
  demand(settings.topP >= 0 && settings.topP <= 1, 'top-p', settings.topP, 'from 0 to 1');
  demand(settings.repetitionPenalty > 0, 'repetition penalty', settings.repetitionPenalty, 'above 0');
  const { seed } = settings;
  demand(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32, 'seed', seed, 'a whole number below 2^32');
  return settings;
}

function demand(holds: boolean, name: string, found: number, needed: string): void {
  if (!holds) throw new UsageError(`${name} is ${found}; it must be ${needed}.`);
}
