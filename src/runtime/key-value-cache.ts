import type { Tensor } from 'onnxruntime-node';
import type { OnnxRuntime } from './onnxruntime.js';

/** One cached tensor of a graph, [batch 1, heads, positions, width], by its names as input and as output. */
export interface CacheSlot {
  past: string;
  present: string;
  type: 'float32' | 'float16';
  heads: number;
  width: number;
}

/** Keys and values of one sequence between calls of its graph. */
export interface KeyValueCache {
  /** Positions held. */
  readonly length: number;
  /** Tensors to feed for a call that appends `count` positions, and outputs to fetch (null: allocated by the call). */
  before(count: number): { feeds: Record<string, Tensor>; fetches: Record<string, Tensor | null> };
  /** Takes over what the call returned. */
  after(count: number, results: Readonly<Record<string, unknown>>): void;
  truncate(length: number): void;
}

type CacheArray = Float32Array | Uint16Array;

function allocate(slot: CacheSlot, positions: number): CacheArray {
  const size = slot.heads * positions * slot.width;
  return slot.type === 'float32' ? new Float32Array(size) : new Uint16Array(size);
}

/** Copies the first `kept` positions of each head between arrays of different room. */
function copyPositions(
  slot: CacheSlot,
  from: CacheArray,
  fromRoom: number,
  to: CacheArray,
  toRoom: number,
  kept: number,
) {
  for (let head = 0; head < slot.heads; head++) {
    const start = head * fromRoom * slot.width;
    to.set(from.subarray(start, start + kept * slot.width), head * toRoom * slot.width);
  }
}

/** The past of one call is the present that the last call returned: every graph can do this, at a copy a call. */
export function fedBackCache(ort: OnnxRuntime, slots: readonly CacheSlot[]): KeyValueCache {
  const tensorOf = (slot: CacheSlot, data: CacheArray, positions: number) =>
    new ort.Tensor(slot.type, data, [1, slot.heads, positions, slot.width]);
  let length = 0;
  let tensors = slots.map((slot) => tensorOf(slot, allocate(slot, 0), 0));
  return {
    get length() {
      return length;
    },
    before: () => ({
      feeds: Object.fromEntries(slots.map((slot, i) => [slot.past, tensors[i] as Tensor])),
      fetches: Object.fromEntries(slots.map((slot) => [slot.present, null])),
    }),
    after(count, results) {
      for (const tensor of tensors) tensor.dispose();
      tensors = slots.map((slot) => results[slot.present] as (typeof tensors)[number]);
      length += count;
    },
    truncate(kept) {
      if (kept >= length) return;
      tensors = tensors.map((tensor, i) => {
        const slot = slots[i] as CacheSlot;
        // Positions of one head lie after each other: no copy.
        if (slot.heads === 1) return tensorOf(slot, (tensor.data as CacheArray).subarray(0, kept * slot.width), kept);
        const data = allocate(slot, kept);
        copyPositions(slot, tensor.data as CacheArray, length, data, kept, kept);
        tensor.dispose();
        return tensorOf(slot, data, kept);
      });
      length = kept;
    },
  };
}

/**
 * Past and present are one buffer with room to spare, which GroupQueryAttention updates in place when it is given the
 * same memory as input and output (genai_config.json: past_present_share_buffer). Truncation is then free: the operator
 * never looks beyond the length that the attention mask gives it.
 */
export function sharedCache(
  ort: OnnxRuntime,
  slots: readonly CacheSlot[],
  capacity: number,
  contextLength: number,
): KeyValueCache {
  const tensorOf = (slot: CacheSlot, data: CacheArray, room: number) =>
    new ort.Tensor(slot.type, data, [1, slot.heads, room, slot.width]);
  let length = 0;
  let room = Math.max(1, Math.min(capacity, contextLength));
  const tensors = slots.map((slot) => tensorOf(slot, allocate(slot, room), room));

  const makeRoom = (needed: number) => {
    if (needed <= room) return;
    const wider = Math.min(contextLength, Math.max(needed, 2 * room));
    // One tensor after the other, so that only one of them exists twice at a time.
    for (const [i, slot] of slots.entries()) {
      const data = allocate(slot, wider);
      const old = tensors[i] as Tensor;
      copyPositions(slot, old.data as CacheArray, room, data, wider, length);
      old.dispose();
      tensors[i] = tensorOf(slot, data, wider);
    }
    room = wider;
  };
  return {
    get length() {
      return length;
    },
    before(count) {
      makeRoom(length + count);
      return {
        feeds: Object.fromEntries(slots.map((slot, i) => [slot.past, tensors[i] as Tensor])),
        fetches: Object.fromEntries(slots.map((slot, i) => [slot.present, tensors[i] as Tensor])),
      };
    },
    after(count) {
      length += count;
    },
    truncate(kept) {
      length = Math.min(length, kept);
    },
  };
}
