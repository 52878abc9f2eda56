import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { Json, JsonObject } from '../../src/core/json.js';
import { find } from '../../src/registry.js';

/** Parses the family's example with other keys and draws it for `contextLength` positions. */
async function drawn(id: string, changes: JsonObject, contextLength = 64) {
  const architecture = await find('architectures', id);
  if (!architecture) throw new Error(`no architecture ${id}`);
  const config = architecture.parseConfig({ ...structuredClone(architecture.example), ...changes } as JsonObject);
  return architecture.build(config, { contextLength });
}

const longrope = (dim: number): Json => ({
  type: 'longrope',
  short_factor: Array.from({ length: dim / 2 }, () => 1),
  long_factor: Array.from({ length: dim / 2 }, () => 2),
});

const refused: [id: string, changes: JsonObject, message: RegExp][] = [
  ['deepseek_v2', { norm_topk_prob: true }, /"norm_topk_prob" is true, which this architecture does not support/],
  ['deepseek_v2', { mlp_bias: true }, /"mlp_bias" is true/],
  ['deepseek_v2', { topk_method: 'noaux_tc' }, /"topk_method" is "noaux_tc"; needed is one of greedy/],
  ['deepseek_v2', { n_group: 3 }, /8 experts in 3 groups; needed is a number of groups that divides them/],
  ['deepseek_v2', { topk_group: 5 }, /5 groups chosen of 4/],
  ['deepseek_v2', { num_experts_per_tok: 5 }, /5 experts a token, of 4 that it may choose/],
  ['deepseek_v3', { scoring_func: 'softmax' }, /"scoring_func" is "softmax"; needed is one of sigmoid/],
  ['deepseek_v3', { n_group: 8, topk_group: 4 }, /groups of one expert that count by their two best/],
  ['deepseek_v3', { num_nextn_predict_layers: 2 }, /"num_nextn_predict_layers" is 2/],
  ['mixtral', { num_experts_per_tok: 5 }, /5 experts a token, of 4/],
  ['qwen3_moe', { num_experts_per_tok: 7 }, /7 experts a token, of 6/],
  ['phi3', { rope_scaling: longrope(10), original_max_position_embeddings: 64 }, /"short_factor".*a list of 6 numbers/],
];

for (const [id, changes, message] of refused) {
  test(`${id} with ${JSON.stringify(changes)} is refused`, async () => {
    const reason = await drawn(id, changes).then(
      () => null,
      (error: unknown) => error,
    );
    assert.instance(reason, InvalidInputError);
    assert.match((reason as InvalidInputError).message, message);
    assert.ok((reason as InvalidInputError).advice);
  });
}

test('longrope is right up to the length that the model was trained at, and refused beyond it', async () => {
  const changes = {
    rope_scaling: longrope(12),
    original_max_position_embeddings: 32,
    max_position_embeddings: 128,
  };
  assert.ok(await drawn('phi3', changes, 32));
  const reason = await drawn('phi3', changes, 33).catch((error: unknown) => error);
  assert.instance(reason, InvalidInputError);
  assert.match((reason as InvalidInputError).message, /beyond 32 positions; a graph for 33 would be wrong/);
  assert.match((reason as InvalidInputError).advice as string, /--context-length 32/);
});

test.run();
