import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TemplateUnsupported } from '../../src/templates/errors.js';
import { renderTemplate } from '../../src/templates/render.js';

const ENDLESS: [string, string][] = [
  [
    'loops in loops',
    '{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}',
  ],
  ['a macro that calls itself', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'],
  [
    'macros that call themselves twice',
    '{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}',
  ],
  [
    'a text that doubles',
    "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
  ],
  [
    'a list that doubles',
    '{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}',
  ],
  ['a text many times', "{{ 'x' * 10000000000 }}"],
  ['a list many times', '{{ [1] * 10000000000 }}'],
  ['a power', '{{ 10 ** 100000 }}'],
  ['powers of powers', '{% set ns = namespace(s=3) %}{% for i in range(99) %}{% set ns.s = ns.s * ns.s %}{% endfor %}'],
  ['a wide indent', "{{ 'a\\nb'|indent(10000000000) }}"],
  ['a wide tojson', '{{ [1]|tojson(indent=10000000000) }}'],
  ['a wide centre', "{{ 'a'|center(10000000000) }}"],
  ['a replacement that grows', "{% set x = 'a' * 100000 %}{{ x.replace('a', x) }}"],
  ['a join that grows', "{% set x = 'a' * 100000 %}{{ x.join('a' * 100000) }}"],
  ['text after text', "{% set x = 'a' * 1000000 %}{% for i in range(1000) %}{{ x }}{% endfor %}"],
  ['a long text searched often', "{% set x = 'a' * 10000000 %}{% for i in range(99999) %}{{ 'b' in x }}{% endfor %}"],
  ['many brackets', `{{ ${'['.repeat(50_000)}${']'.repeat(50_000)} }}`],
  ['many blocks', '{% if 1 %}'.repeat(50_000) + '{% endif %}'.repeat(50_000)],
  ['many signs', `{{ ${'-'.repeat(100_000)}1 }}`],
];

for (const [name, template] of ENDLESS) {
  test(`${name}: refused within seconds`, () => {
    const begun = performance.now();
    assert.throws(
      () => renderTemplate(template, new Map(), new Date()),
      (error: Error) => error instanceof TemplateUnsupported,
    );
    assert.ok(performance.now() - begun < 10_000);
  });
}

test('a range beyond that of the sandbox raises as in Python', () => {
  assert.throws(() => renderTemplate('{{ range(100001)|length }}', new Map(), new Date()), /Range too big/);
  assert.is(renderTemplate('{{ range(100000)|length }}', new Map(), new Date()), '100000');
});

test('a prompt of a million characters in a thousand turns is no trouble', () => {
  const messages = Array.from({ length: 1000 }, () => new Map([['content', 'x'.repeat(1000)]]));
  const text = renderTemplate(
    '{% for m in messages %}{{ m.content | trim }}{% endfor %}',
    new Map([['messages', messages]]),
    new Date(),
  );
  assert.is(text.length, 1_000_000);
});

test.run();
