import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import {
  endOfTextIds,
  openPackage,
  operatorsOf,
  packageFile,
  pipelineStagesOf,
} from '../../src/formats/package-reader.js';
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.js';

const MODEL = { type: 'qwen2', context_length: 64, vocab_size: 32, eos_token_id: [3, 4], decoder: {} };

function withFiles<T>(files: Record<string, unknown>, body: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'halfbyte-package-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
    }
    return body(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function refused(files: Record<string, unknown>, message: RegExp): void {
  withFiles(files, (dir) => {
    assert.throws(
      () => openPackage(dir),
      (error: Error) => error instanceof InvalidInputError && message.test(error.message),
      String(message),
    );
  });
}

test('a package is read with the defaults of ONNX Runtime GenAI', () => {
  withFiles({ 'genai_config.json': { model: MODEL, more: 1 }, 'halfbyte.json': { tool: 'x' } }, (dir) => {
    const opened = openPackage(dir);
    assert.equal(opened.manifest, { tool: 'x' });
    assert.equal(endOfTextIds(opened.genai), [3, 4]);
    assert.is(opened.genai.search.do_sample, false);
    assert.is(opened.genai.search.top_k, 50);
    assert.is(opened.genai.search.past_present_share_buffer, false);
    assert.equal(opened.genai.model.decoder.inputs, {});
    assert.equal(pipelineStagesOf(opened.genai), []);
  });
  withFiles({ 'genai_config.json': { model: { ...MODEL, eos_token_id: 7 } } }, (dir) => {
    assert.is(openPackage(dir).manifest, null);
    assert.equal(endOfTextIds(openPackage(dir).genai), [7]);
  });
  withFiles({ 'genai_config.json': { model: { ...MODEL, eos_token_id: null } } }, (dir) => {
    assert.equal(endOfTextIds(openPackage(dir).genai), []);
  });
});

test('errors name file and key', () => {
  const model = (change: object) => ({ 'genai_config.json': { model: { ...MODEL, ...change } } });
  refused({}, /not a package: it has no genai_config\.json/);
  refused({ 'genai_config.json': '{' }, /genai_config\.json: is not valid JSON/);
  refused({ 'genai_config.json': [] }, /genai_config\.json: holds a list/);
  refused({ 'genai_config.json': {} }, /genai_config\.json: model: /);
  refused(model({ context_length: 0 }), /model\.context_length: /);
  refused(model({ vocab_size: '9' }), /model\.vocab_size: /);
  refused(model({ eos_token_id: [1, -2] }), /model\.eos_token_id/);
  refused(model({ decoder: { inputs: { input_ids: 3 } } }), /model\.decoder\.inputs\.input_ids: /);
  refused({ 'genai_config.json': { model: MODEL, search: { top_p: 2 } } }, /search\.top_p: /);
  refused({ 'genai_config.json': { model: MODEL }, 'halfbyte.json': 'null' }, /halfbyte\.json: /);
});

test('pipeline stages are written as an object or a list and read in order', () => {
  const stage = (filename: string) => ({ filename, inputs: ['a'], outputs: ['b'] });
  const asList = [{ first: stage('1.onnx') }, { second: { ...stage('2.onnx'), is_lm_head: true } }];
  const asObject = { first: stage('1.onnx'), second: { ...stage('2.onnx'), is_lm_head: true } };
  for (const pipeline of [asList, asObject, [asObject]]) {
    const config = { model: { ...MODEL, type: 'decoder-pipeline', decoder: { pipeline } } };
    withFiles({ 'genai_config.json': config }, (dir) => {
      const stages = pipelineStagesOf(openPackage(dir).genai);
      assert.equal(
        stages.map((s) => [s.name, s.filename, s.run_on_prompt, s.is_lm_head]),
        [
          ['first', '1.onnx', true, false],
          ['second', '2.onnx', true, true],
        ],
      );
    });
  }
});

test('the manifest tells the operators of a graph', () => {
  const operators = { GroupQueryAttention: 2, MatMul: 9 };
  const manifest = { graphs: [{ file: 'model.onnx', operators }], other: true };
  withFiles({ 'genai_config.json': { model: MODEL }, 'halfbyte.json': manifest }, (dir) => {
    assert.equal(operatorsOf(openPackage(dir), 'model.onnx'), operators);
    assert.is(operatorsOf(openPackage(dir), 'other.onnx'), null);
  });
  for (const strange of [{}, { graphs: 3 }, { graphs: [{}] }]) {
    withFiles({ 'genai_config.json': { model: MODEL }, 'halfbyte.json': strange }, (dir) => {
      assert.is(operatorsOf(openPackage(dir), 'model.onnx'), null);
    });
  }
});

test('file names that leave the package are refused', () => {
  withFiles({ 'genai_config.json': { model: MODEL }, 'model.onnx': 'x' }, (dir) => {
    const opened = openPackage(dir);
    assert.is(packageFile(opened, 'model.onnx'), join(dir, 'model.onnx'));
    for (const name of ['../model.onnx', '..', '/etc/passwd', 'a/../../x']) {
      assert.throws(() => packageFile(opened, name), /leaves the package/, name);
    }
    for (const name of ['none.onnx', '.', '']) assert.throws(() => packageFile(opened, name), /is missing/, name);
  });
});

test('tokenizer files: the template file first, then default of the list; tokens from the older file', () => {
  const list = [
    { name: 'tool_use', template: 'T' },
    { name: 'default', template: 'D' },
  ];
  const base = { 'tokenizer.json': { model: {} } };
  const template = (files: Record<string, unknown>) =>
    withFiles({ ...base, ...files }, (dir) => readTokenizerFiles(dir)?.chatTemplate);
  assert.is(template({}), null);
  assert.is(template({ 'tokenizer_config.json': { chat_template: 'S' } }), 'S');
  assert.is(template({ 'tokenizer_config.json': { chat_template: list } }), 'D');
  assert.is(template({ 'tokenizer_config.json': { chat_template: list }, 'chat_template.jinja': 'J' }), 'J');
  const maps = {
    'special_tokens_map.json': { bos_token: '<a>', eos_token: '<b>' },
    'tokenizer_config.json': { eos_token: '<c>' },
  };
  withFiles({ ...base, ...maps }, (dir) =>
    assert.equal(readTokenizerFiles(dir)?.config, { bos_token: '<a>', eos_token: '<c>' }),
  );
  withFiles({}, (dir) => assert.is(readTokenizerFiles(dir), null));
});

test.run();
