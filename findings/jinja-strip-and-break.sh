#!/usr/bin/env bash
# @huggingface/jinja 0.5.11 (npm) is made for chat templates, and renders some otherwise than the Jinja2 of Python for
# which they are written, without an error.
# Expected (Jinja2 3.1 in transformers):  1: "ab\n"   2: "a1a2b"  3: "False"  4: "1.0"  5: "False"  6: "True"
# Seen:                                   1: "ab"     2: "a1"     3: "true"   4: "1"    5: "true"   6: "true"
#   1  'ab\n'.strip('x') takes no notice of its argument (Qwen3's template strips newlines alone)
#   2  {% break %} drops what the same round of the loop wrote before it
#   3  the text '1' equals the number 1      4  the value 1.0 of a tool call's arguments as JSON
#   5  undefined equals none                 6  booleans print in small letters
# Exits 0 while 1, 2, 3 and 5 differ from Python, 1 when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @huggingface/jinja@0.5.11
cat >run.mjs <<'JS'
import { Template } from '@huggingface/jinja';
const cases = [
  ["{{ 'ab\\n'.strip('x') }}", 'ab\n'],
  ['{% for i in [1,2,3] %}a{{ i }}{% if i == 2 %}b{% break %}{% endif %}{% endfor %}', 'a1a2b'],
  ["{{ '1' == 1 }}", 'False'],
  ['{{ x | tojson }}', '1.0'],
  ['{{ nothing == none }}', 'False'],
  ['{{ true }}', 'True'],
];
const differ = cases.map(([template, python], index) => {
  const seen = new Template(template).render({ x: 1.0 });
  console.log(`${index + 1}: ${JSON.stringify(seen)}, Python ${JSON.stringify(python)}`);
  return seen.toLowerCase() !== python.toLowerCase();
});
process.exit([0, 1, 2, 4].every((index) => differ[index]) ? 0 : 1);
JS
node run.mjs
