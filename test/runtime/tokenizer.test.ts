import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { readTokenizerFiles, type TokenizerFiles } from '../../src/formats/tokenizer-files.js';
import { openTokenizer, type TextTokenizer } from '../../src/runtime/tokenizer.js';
import { rejects } from './expectations.js';

const UNION = fileURLToPath(new URL('../../fixtures/union-1.8m', import.meta.url));
const FILES = readTokenizerFiles(UNION) as TokenizerFiles;
const END = 0;
const HARD = 'Ünïcode ☃ 日本語 👩‍🚀🏳️‍🌈 e\u0301 12345\r\n\ttab  two  spaces ';

/** The fixture's tokenizer with other settings. */
function variant(config: JsonObject, chatTemplate: string | null = null, tokenizer: JsonObject = {}) {
  const files = {
    tokenizer: { ...FILES.tokenizer, ...tokenizer },
    config: { ...FILES.config, ...config },
    chatTemplate,
  };
  return openTokenizer(files, 'variant');
}

/** A post-processor that puts the bos token in front, as tokenizer.json of Llama models has it. */
const BOS_FIRST: JsonObject = {
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<|endoftext|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<|endoftext|>': { id: '<|endoftext|>', ids: [END], tokens: ['<|endoftext|>'] } },
  },
};

async function streamed(
  tokenizer: TextTokenizer,
  before: readonly number[],
  ids: readonly number[],
): Promise<string[]> {
  const stream = tokenizer.stream(before);
  const pieces: string[] = [];
  for (const id of ids) pieces.push(await stream.push(id));
  return [...pieces, await stream.end()];
}

test('the held-out text goes to the ids of the tokenizer and back', async () => {
  const tokenizer = await openTokenizer(FILES, UNION);
  const text = readFileSync(`${UNION}/heldout.txt`, 'utf8');
  const ids = await tokenizer.encode(text);
  assert.is(await tokenizer.decode(ids), text);
  // 253 windows of 255 predictions: the count in the fixture's perplexity.
  assert.is(Math.floor(ids.length / 255), 253);
});

test('property: any text goes to ids and back, whole and streamed', async () => {
  const tokenizer = await openTokenizer(FILES, UNION);
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 60 }), async (text) => {
      const ids = await tokenizer.encode(text);
      assert.is(await tokenizer.decode(ids), text);
      assert.is((await streamed(tokenizer, [], ids)).join(''), text);
    }),
  );
});

test('a stream never holds half a character', async () => {
  const tokenizer = await openTokenizer(FILES, UNION);
  const ids = await tokenizer.encode(HARD);
  assert.ok(ids.length > [...HARD].length, 'several tokens a character, or this test shows nothing');
  const pieces = await streamed(tokenizer, [], ids);
  for (const piece of pieces) {
    assert.not.match(piece, /\uFFFD/);
    assert.is(encodeURIComponent(piece).length > 0, piece !== '', 'no lone surrogate, which this call throws at');
  }
  assert.is(pieces.join(''), HARD);
});

test('bytes that never become a character end as U+FFFD', async () => {
  const tokenizer = await openTokenizer(FILES, UNION);
  const ids = (await tokenizer.encode('ok 日')).slice(0, -1);
  const pieces = await streamed(tokenizer, [], ids);
  assert.match(pieces.at(-1) as string, /^\uFFFD+$/);
  assert.is(pieces.slice(0, -1).join(''), 'ok ');
});

test('a stream that continues a prompt gives the rest of the text', async () => {
  const tokenizer = await openTokenizer(FILES, UNION);
  const ids = await tokenizer.encode('My fellow Americans, the state of the Union is strong.');
  for (let cut = 0; cut <= ids.length; cut++) {
    const before = await tokenizer.decode(ids.slice(0, cut));
    assert.is(
      before + (await streamed(tokenizer, ids.slice(0, cut), ids.slice(cut))).join(''),
      await tokenizer.decode(ids),
    );
  }
});

test('a decoder that drops the first space of a text does not drop it in a continuation', async () => {
  const metaspace: JsonObject = {
    decoder: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always' },
    pre_tokenizer: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always' },
    model: {
      type: 'BPE',
      vocab: { '<|endoftext|>': 0, '\u2581': 1, a: 2, b: 3, '\u2581a': 4, '\u2581b': 5 },
      merges: ['\u2581 a', '\u2581 b'],
    },
  };
  const tokenizer = await variant({}, null, metaspace);
  const ids = await tokenizer.encode('a b ab');
  assert.is(await tokenizer.decode(ids), 'a b ab');
  assert.is((await streamed(tokenizer, ids.slice(0, 1), ids.slice(1))).join(''), ' b ab');
  assert.is((await streamed(tokenizer, [], ids)).join(''), 'a b ab');
});

test('special tokens are left out of the text', async () => {
  const tokenizer = await openTokenizer(FILES, UNION);
  const ids = [...(await tokenizer.encode('one')), END, ...(await tokenizer.encode(' two'))];
  assert.is(await tokenizer.decode(ids), 'one two');
  assert.is((await streamed(tokenizer, [], ids)).join(''), 'one two');
  assert.is(await tokenizer.decode([]), '');
});

test('spaces before punctuation stay, whatever clean_up_tokenization_spaces says', async () => {
  const tokenizer = await variant({ clean_up_tokenization_spaces: true });
  const text = "Well , I do n't .";
  assert.is(await tokenizer.decode(await tokenizer.encode(text)), text);
});

test('bos and eos: the post-processor decides, and a flag that says otherwise is named', async () => {
  const plain = await (await variant({})).encode('x');
  const silent: JsonObject = { add_bos_token: undefined as unknown as null };
  const cases: [string, Promise<TextTokenizer>, number[], RegExp | null][] = [
    ['no flag, none added', variant(silent), plain, null],
    ['no flag, added', variant(silent, null, BOS_FIRST), [END, ...plain], null],
    ['flag true, added', variant({ add_bos_token: true }, null, BOS_FIRST), [END, ...plain], null],
    ['flag true, none added', variant({ add_bos_token: true }), plain, /add_bos_token true.*puts no bos_token before/],
    [
      'flag false, added',
      variant({ add_bos_token: false }, null, BOS_FIRST),
      [END, ...plain],
      /add_bos_token false.*puts bos/,
    ],
    ['eos flag true, none added', variant({ add_eos_token: true }), plain, /add_eos_token true.*no eos_token after/],
  ];
  for (const [name, opening, expected, note] of cases) {
    const tokenizer = await opening;
    assert.equal(await tokenizer.encode('x'), expected, name);
    assert.equal(await tokenizer.encodePlain('x'), plain, `${name}, plain`);
    assert.is(tokenizer.notes.length, note ? 1 : 0, name);
    if (note) assert.match(tokenizer.notes[0], note);
  }
});

test('a chat template gets messages, special tokens and the generation prompt', async () => {
  const template =
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] | trim }}{{ eos_token }}{% endfor %}" +
    '{% if add_generation_prompt %}[assistant]{% endif %}';
  const tokenizer = await variant({ eos_token: { content: '</s>' } }, template);
  const text = await tokenizer.applyChatTemplate([
    { role: 'system', content: ' Be brief. ' },
    { role: 'user', content: 'Hi' },
  ]);
  assert.is(text, '<|endoftext|>[system]Be brief.</s>[user]Hi</s>[assistant]');
  assert.is((await tokenizer.encodePlain(text))[0], END, 'names of special tokens become those tokens');
});

test('chat templates of Qwen2 and of DeepSeek-R1-Distill (its turns without tools) are rendered as published', async () => {
  const qwen2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}" +
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" +
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}" +
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  const r1 =
    '{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}' +
    "{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}" +
    "{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}" +
    '{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}' +
    "{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}" +
    "{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}" +
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}" +
    "{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor -%}" +
    "{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜><think>\\n'}}{% endif %}";
  const user = { role: 'user' as const, content: 'Hi' };
  assert.is(
    await (await variant({}, qwen2)).applyChatTemplate([user]),
    '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
  );
  const messages = [
    { role: 'system' as const, content: 'Be brief.' },
    user,
    { role: 'assistant' as const, content: '<think>hm</think>Hello' },
    user,
  ];
  assert.is(
    await (await variant({}, r1)).applyChatTemplate(messages),
    '<|endoftext|>Be brief.<｜User｜>Hi<｜Assistant｜>Hello<｜end▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>\n',
  );
});

test('chat templates that are missing or refuse are errors', async () => {
  const none = await variant({});
  await rejects(none.applyChatTemplate([]), InvalidInputError, /no chat template/);
  const refusing = await variant({}, "{{ raise_exception('no system role') }}");
  await rejects(refusing.applyChatTemplate([]), InvalidInputError, /refuses these messages: no system role/);
});

test('a file that is no tokenizer is an error', async () => {
  const files = { tokenizer: { model: {} }, config: {}, chatTemplate: null };
  await rejects(openTokenizer(files, 'somewhere'), InvalidInputError, /somewhere\/tokenizer.json: not a tokenizer/);
});

test.run();
