const WORD = 0xffffffffffffffffn;
const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;

/** XXH64 with seed 0, after xxHash's specification: the plain twin of the kernel, which is several hundred times faster. */
export function xxh64(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { byteLength } = bytes;
  let at = 0;
  let hash = PRIME_5;
  if (byteLength >= 32) {
    const lanes = [(PRIME_1 + PRIME_2) & WORD, PRIME_2, 0n, -PRIME_1 & WORD];
    for (; at + 32 <= byteLength; at += 32) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = round(lanes[lane], view.getBigUint64(at + 8 * lane, true));
    }
    const [a, b, c, d] = lanes;
    hash = (rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n)) & WORD;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4) & WORD;
  }
  hash = (hash + BigInt(byteLength)) & WORD;
  for (; at + 8 <= byteLength; at += 8) {
    hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * PRIME_1 + PRIME_4) & WORD;
  }
  if (at + 4 <= byteLength) {
    hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * PRIME_1) & WORD), 23n) * PRIME_2 + PRIME_3) & WORD;
    at += 4;
  }
  for (; at < byteLength; at++) {
    hash = (rotate(hash ^ ((BigInt(bytes[at]) * PRIME_5) & WORD), 11n) * PRIME_1) & WORD;
  }
  hash = ((hash ^ (hash >> 33n)) * PRIME_2) & WORD;
  hash = ((hash ^ (hash >> 29n)) * PRIME_3) & WORD;
  return hash ^ (hash >> 32n);
}

const rotate = (word: bigint, bits: bigint) => ((word << bits) | (word >> (64n - bits))) & WORD;
const round = (accumulator: bigint, lane: bigint) =>
  (rotate((accumulator + lane * PRIME_2) & WORD, 31n) * PRIME_1) & WORD;
