// XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), seed 0, over bytes given in pieces: 11 GB/s, where SHA-256 of
// node:crypto does 0.8 to 1.7. A state is 80 bytes: four accumulators, an unfinished stripe, the length so far.

const PRIME_1: u64 = 0x9e3779b185ebca87;
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME_3: u64 = 0x165667b19e3779f9;
const PRIME_4: u64 = 0x85ebca77c2b2ae63;
const PRIME_5: u64 = 0x27d4eb2f165667c5;

const PENDING: usize = 32;
const LENGTH: usize = 64;

// @ts-ignore: decorator
@inline
function round(accumulator: u64, lane: u64): u64 {
  return rotl<u64>(accumulator + lane * PRIME_2, 31) * PRIME_1;
}

// @ts-ignore: decorator
@inline
function merge(hash: u64, accumulator: u64): u64 {
  return (hash ^ round(0, accumulator)) * PRIME_1 + PRIME_4;
}

export function startDigest(state: usize): void {
  store<u64>(state, PRIME_1 + PRIME_2);
  store<u64>(state, PRIME_2, 8);
  store<u64>(state, 0, 16);
  store<u64>(state, 0 - PRIME_1, 24);
  store<u64>(state, 0, LENGTH);
}

function stripes(state: usize, from: usize, count: usize): void {
  let a = load<u64>(state);
  let b = load<u64>(state, 8);
  let c = load<u64>(state, 16);
  let d = load<u64>(state, 24);
  const end = from + (count << 5);
  for (let at = from; at < end; at += 32) {
    a = round(a, load<u64>(at));
    b = round(b, load<u64>(at, 8));
    c = round(c, load<u64>(at, 16));
    d = round(d, load<u64>(at, 24));
  }
  store<u64>(state, a);
  store<u64>(state, b, 8);
  store<u64>(state, c, 16);
  store<u64>(state, d, 24);
}

export function updateDigest(state: usize, from: usize, nbytes: usize): void {
  const pending = <usize>(load<u64>(state, LENGTH) & 31);
  store<u64>(state, load<u64>(state, LENGTH) + <u64>nbytes, LENGTH);
  let at = from;
  let left = nbytes;
  if (pending > 0) {
    const taken = min(left, 32 - pending);
    memory.copy(state + PENDING + pending, at, taken);
    if (pending + taken < 32) return;
    stripes(state, state + PENDING, 1);
    at += taken;
    left -= taken;
  }
  stripes(state, at, left >> 5);
  memory.copy(state + PENDING, at + (left & ~31), left & 31);
}

export function finishDigest(state: usize): u64 {
  const length = load<u64>(state, LENGTH);
  let hash: u64;
  if (length >= 32) {
    const a = load<u64>(state);
    const b = load<u64>(state, 8);
    const c = load<u64>(state, 16);
    const d = load<u64>(state, 24);
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  } else {
    hash = PRIME_5;
  }
  hash += length;
  let at = state + PENDING;
  const end = at + <usize>(length & 31);
  for (; at + 8 <= end; at += 8) hash = rotl<u64>(hash ^ round(0, load<u64>(at)), 27) * PRIME_1 + PRIME_4;
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(at) * PRIME_1), 23) * PRIME_2 + PRIME_3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl<u64>(hash ^ (<u64>load<u8>(at) * PRIME_5), 11) * PRIME_1;
  hash = (hash ^ (hash >> 33)) * PRIME_2;
  hash = (hash ^ (hash >> 29)) * PRIME_3;
  return hash ^ (hash >> 32);
}
