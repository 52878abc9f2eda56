/** A reference command for tests: its first argument says what it does, the last two are question and answer. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';

const [what, ...words] = process.argv.slice(2);
const [question, answer] = words.slice(-2);

/** A safetensors file of float32 zeros. */
function zeros(tensors) {
  let end = 0;
  const header = {};
  for (const [name, shape] of Object.entries(tensors)) {
    const begin = end;
    end += 4 * shape.reduce((product, each) => product * each, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(end)]);
}

const asked = () => {
  const bytes = readFileSync(question);
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
  return Object.entries(header).filter(([name]) => name.endsWith('input_ids'));
};

switch (what) {
  case 'answer':
    copyFileSync(words[0], answer);
    break;
  case 'fail':
    console.error('the model does not load');
    process.exitCode = 7;
    break;
  case 'sleep':
    setTimeout(() => {}, 60_000);
    break;
  case 'garbage':
    writeFileSync(answer, 'no safetensors');
    break;
  case 'empty':
    writeFileSync(answer, zeros({ something: [1, 2] }));
    break;
  case 'narrow':
    writeFileSync(
      answer,
      zeros(
        Object.fromEntries(asked().map(([name, { shape }]) => [name.replace(/input_ids$/, 'logits'), [...shape, 3]])),
      ),
    );
    break;
  default:
}
