import * as z from 'zod';
import type { JsonObject } from '../core/json.js';
import type { VerifyReport } from '../core/verify-report.js';

/** JSON has no NaN and no Infinity: null stands for both. */
const measured = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN)
  .meta({ description: 'null: not a finite number' });
const known = <T extends z.ZodType>(type: T) => type.nullable().meta({ description: 'null: not known' });
const count = z.int().nonnegative();
const verdict = z.enum(['pass', 'fail', 'ambiguous']).meta({ id: 'verdict' });
const interval = z.object({ low: measured, high: measured }).meta({ id: 'interval' });
const options = z.record(z.string(), z.json()) as unknown as z.ZodType<JsonObject>;

const check = z.object({
  id: z.string(),
  group: z.enum(['integrity', 'weights', 'structure', 'reference', 'gate']),
  verdict,
  message: z.string().meta({ description: 'one sentence: what was found and, where it failed, what was needed' }),
  measured: measured.exactOptional(),
  limit: measured.exactOptional(),
  unit: z.string().exactOptional(),
  where: z.string().exactOptional().meta({ description: 'file, tensor, layer, config key, position or token set' }),
});

const metric = z.object({
  id: z.string().meta({ description: 'a metric of docs/verify.md' }),
  value: measured,
  interval: interval.nullable().meta({ description: '95 % bootstrap interval over positions' }),
  unit: z.string(),
  better: z.enum(['lower', 'higher']),
});

const token = z.object({ id: count, text: known(z.string()) }).meta({ id: 'token' });
const candidate = z.object({ id: count, text: known(z.string()), probability: measured }).meta({ id: 'candidate' });

const comparison = z.object({
  set: z.string(),
  referee: z.enum(['golden', 'engine', 'command']),
  sequences: count,
  tokens: count,
  metrics: z.array(metric),
  kl: z.array(measured).meta({ description: 'KL divergence in nats at each position, sequences end to end' }),
  lengths: z.array(count),
  relativeError: measured,
  klBound: z
    .number()
    .exactOptional()
    .meta({ description: 'by how much the mean KL may be larger: the reference keeps its best logits alone' }),
  ties: count
    .exactOptional()
    .meta({ description: 'positions that differ where the reference itself is as good as undecided' }),
  disagreements: z.array(
    z.object({
      sequence: count,
      position: count,
      token,
      next: token.nullable(),
      kl: measured,
      reference: z.array(candidate),
      actual: z.array(candidate),
    }),
  ),
  differing: z
    .array(count)
    .exactOptional()
    .meta({ description: 'positions, as in kl, whose most likely token differs' }),
});

const tokens = z.object({
  sets: z.array(z.object({ name: z.string(), sequences: z.array(z.array(count)) })),
  texts: z.record(z.string(), z.string()).meta({ description: 'text of each token id of the sets' }),
});

const perplexity = z.object({
  text: z.string(),
  windows: count,
  windowTokens: count,
  predictions: count,
  value: measured,
  interval,
  reference: known(z.number()),
});

const decode = z.object({ set: z.string(), tokens: count, maxAbsDifference: measured, position: count });

const greedy = z.object({
  tokens: count,
  equalTokens: count,
  firstDivergence: count.nullable(),
  expected: z.array(count),
  actual: z.array(count),
  gap: z.number().nullable(),
});

const window = z.object({
  set: z.string(),
  sequence: count,
  index: count,
  from: count,
  tokens: count,
  relativeError: measured,
  maxAbsDifference: measured,
});

const layer = z.object({
  index: count.meta({ description: '0 is the embedding, the last one is after the final norm' }),
  name: z.string(),
  relativeError: measured,
  maxAbsDifference: measured,
  cosine: measured,
});

const tensor = z.object({
  name: z.string(),
  layer: count.nullable(),
  scheme: z.string(),
  shape: z.array(count),
  sqnrDb: z.number().nullable().meta({ description: 'null: exactly equal' }),
  floorDb: z.number().nullable(),
  cosine: measured,
  maxAbsDifference: measured,
  worstGroupSteps: z.number().nullable(),
  verdict,
});

const localisation = z.object({
  firstLayer: z.int().nullable(),
  findings: z.array(z.string()),
  worstTensors: z.array(z.string()),
  hypotheses: z.array(
    z.object({
      id: z.string(),
      statement: z.string(),
      errorIfSo: measured,
      errorOtherwise: measured,
      likely: z.boolean(),
    }),
  ),
});

const subject = z.object({
  kind: z.enum(['package', 'checkpoint']),
  path: z.string(),
  model: z.string(),
  target: z.string(),
  schemes: z.record(z.string(), count),
  accuracyLevel: known(count),
  parameters: known(count),
  weightBytes: known(count),
  bitsPerWeight: known(z.number()),
  sizes: z.array(z.object({ scheme: z.string(), weights: count, parameters: count, nbytes: count })).exactOptional(),
  files: z.array(z.object({ name: z.string(), size: count })),
});

const provenance = z.object({
  versions: z.record(z.string(), z.string()),
  platform: z.string(),
  manifestSha256: known(z.string()),
  options: known(options),
  reference: z.array(z.object({ name: z.string(), size: count, sha256: z.string(), of: z.enum(['file', 'header']) })),
});

/**
 * The document of `verify --json` and `--report file.json`. A reader of format version 1 passes over keys that it does
 * not know; a change that such a reader would misread is another version.
 */
export const verifyReportSchema = z
  .object({
    formatVersion: z.literal(1),
    tool: z.object({ name: z.literal('halfbyte'), version: z.string() }),
    verdict,
    summary: z.string().meta({ description: 'why, in one sentence' }),
    strict: z.boolean().meta({ description: 'whether ambiguous counts as failed' }),
    subject,
    reference: z.object({ kind: z.enum(['golden', 'checkpoint', 'command']), path: z.string() }),
    checks: z.array(check),
    comparisons: z.array(comparison),
    tokens: tokens.exactOptional(),
    perplexity: perplexity.nullable(),
    decode: z.array(decode),
    greedy: greedy.nullable(),
    windows: z.array(window).exactOptional(),
    layersOf: z.string().exactOptional(),
    layers: z.array(layer),
    tensors: z.array(tensor),
    localisation: localisation.nullable(),
    routingMargin: z.number().nullable(),
    notes: z.array(z.string()),
    reproduce: z.string().meta({ description: 'the command line that gives this report again' }),
    provenance,
  })
  .meta({
    title: 'Report of halfbyte verify',
    description: 'Explained in docs/verify.md.',
  }) satisfies z.ZodType<VerifyReport>;

/** The schema as it is published in docs/verify-report.schema.json. */
export function publishedSchema(): object {
  return z.toJSONSchema(verifyReportSchema, { io: 'input' });
}
