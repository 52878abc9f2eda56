#!/usr/bin/env bash
# tokenizers 0.23.2 (npm, the Rust library): one tokenizer.json and one text give different ids from one opening of the
# file to the next, where the normalizer makes one text of two added tokens ("tok" and "Tok" with Lowercase).
# Expected: the same ids every time, of whichever token wins by a rule (the first, or the highest id).
# Seen: of 200 openings in one process some give [66], id of "Tok", and some [65], id of "tok". The order is that of a
# hash map with a random seed.
# Exits 0 while that is so, 1 when the ids are always the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts tokenizers@0.23.2
cat >run.cjs <<'JS'
const { Tokenizer } = require('tokenizers');
const token = (id, content) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: true, special: false });
const file = JSON.stringify({
  version: '1.0', truncation: null, padding: null,
  added_tokens: [token(65, 'tok'), token(66, 'Tok')],
  normalizer: { type: 'Lowercase' }, pre_tokenizer: { type: 'WhitespaceSplit' }, post_processor: null, decoder: null,
  model: { type: 'WordLevel', unk_token: 'w0', vocab: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`w${i}`, i])) },
});
(async () => {
  const seen = {};
  for (let i = 0; i < 200; i++) {
    const ids = JSON.stringify((await Tokenizer.fromString(file).encode('tok')).getIds());
    seen[ids] = (seen[ids] ?? 0) + 1;
  }
  console.log('tokenizers 0.23.2, "tok", 200 openings of one file:', seen);
  process.exit(Object.keys(seen).length > 1 ? 0 : 1);
})();
JS
node run.cjs
