import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TemplateRaised, TemplateUnsupported } from '../../src/templates/errors.js';
import { renderTemplate } from '../../src/templates/render.js';
import { names } from './python.js';

type Truth = { out: string } | { error: string };
interface Prompts {
  now: string;
  conversations: Record<string, string>;
  templates: { name: string; template: string; prompts: Record<string, Truth> }[];
  expressions: ({ template: string } & Truth)[];
}

/** Rendered by transformers 5.18.0 with Python's jinja2. */
const FILE = fileURLToPath(new URL('../../fixtures/templates/prompts.json', import.meta.url));
const { now, conversations, templates, expressions }: Prompts = JSON.parse(readFileSync(FILE, 'utf8'));

/** Python computes these, and they are refused here by what they use. */
const REFUSED = new Map([
  ["{{ ''.__class__ }}", 'the attribute __class__'],
  ["{{ 'é'.encode('utf-8') }}", 'str.encode'],
  ["{{ 'abc'|e }}", 'the filter e'],
  ['{{ [1,2]|random }}', 'the filter random'],
  ['{{ lipsum() }}', 'the function lipsum'],
]);

function check(template: string, conversation: string, truth: Truth): void {
  const render = () => renderTemplate(template, names(conversations[conversation]), new Date(now));
  const refused = REFUSED.get(template);
  if (refused !== undefined) {
    assert.throws(render, (error: Error) => error instanceof TemplateUnsupported && error.message === refused);
  } else if ('out' in truth) assert.is(render(), truth.out, template);
  else {
    assert.throws(
      render,
      (error: Error) => error instanceof TemplateRaised || error instanceof TemplateUnsupported,
      template,
    );
  }
}

for (const { name, template, prompts } of templates) {
  test(`a template in the style of ${name} gives the prompts of transformers`, () => {
    for (const [conversation, truth] of Object.entries(prompts)) check(template, conversation, truth);
  });
}

test('expressions and statements are worth what Python gives them', () => {
  assert.ok(expressions.length > 70);
  for (const { template, ...truth } of expressions) check(template, 'user', truth as Truth);
});

test.run();
