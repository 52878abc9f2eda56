// Algorithm `hqq` with a scale for each group of a row: twin of schemes/arithmetic/integer_scheme.ts, strategy `group`.
// Groups end after one round or after twenty: a lane whose group has ended takes the next one while the others go on.
import { allFinite } from './floats';
import { addPiece, endRound, isDescending, LANES, PIECE, startDescent } from './half_quadratic';
import {
  choosePlain,
  encodePiece,
  placeUnit,
  plainScale,
  plainZero,
  STAGE,
  stage,
  startRange,
  storeDescended,
  unitCounts,
  unitSettings,
  widenRange,
} from './half_quadratic_units';
import { bits, bytesOfScale, flip, SCALES, setCode, zeroPointCode } from './integer_grids';
import { bytesOf } from './lanes';

/** Four groups that are ready: values side by side, and plain grids. */
const READY: usize = memory.data(4 * 256 * 4, 16);
const READY_COUNTS: usize = memory.data(16, 16);
const READY_SCALES: usize = memory.data(16, 16);
const READY_ZEROS: usize = memory.data(16, 16);

/** The group of each lane: its number, its values one after the other, their count as float32, its plain grid. */
const GROUPS: usize = memory.data(16, 16);
const VALUES: usize = memory.data(4 * 256 * 4, 16);
const COUNTS: usize = memory.data(16, 16);
const PLAIN_SCALES: usize = memory.data(16, 16);
const PLAIN_ZEROS: usize = memory.data(16, 16);
const NONE: u32 = 0xffffffff;

/** The matrix of one call, and its groups in a row. */
let source: usize = 0;
let valueBytes: usize = 0;
let columns: usize = 0;
let group: usize = 0;
let blocks: usize = 0;
let total: usize = 0;

// @ts-ignore: decorator
@inline
function countOf(index: usize): usize {
  return min(group, columns - (index % blocks) * group);
}

/** Readies groups first to first + 3. */
function readyFour(first: usize): void {
  for (let slot: usize = 0; slot < 4; slot++) {
    const index = first + slot;
    const place = (index / blocks) * columns + (index % blocks) * group;
    placeUnit(slot, source + place * valueBytes, index < total ? countOf(index) : 0);
  }
  stage(0, group, READY);
  startRange();
  widenRange(group, READY);
  choosePlain();
  v128.store(READY_COUNTS, unitCounts());
  v128.store(READY_SCALES, plainScale);
  v128.store(READY_ZEROS, plainZero);
}

/** Gives a lane the next group. */
function take(lane: usize, index: usize): void {
  if ((index & 3) == 0) readyFour(index);
  const slot = index & 3;
  store<u32>(GROUPS + 4 * lane, index);
  memory.copy(VALUES + 4 * PIECE * lane, STAGE + 4 * PIECE * slot, 4 * group);
  for (let i: usize = 0; i < 16 * group; i += 16) store<u32>(LANES + i + 4 * lane, load<u32>(READY + i + 4 * slot));
  store<u32>(COUNTS + 4 * lane, load<u32>(READY_COUNTS + 4 * slot));
  store<u32>(PLAIN_SCALES + 4 * lane, load<u32>(READY_SCALES + 4 * slot));
  store<u32>(PLAIN_ZEROS + 4 * lane, load<u32>(READY_ZEROS + 4 * slot));
  startDescent(
    i32x4.eq(i32x4(0, 1, 2, 3), i32x4.splat(<i32>lane)),
    v128.load32_splat(READY_SCALES + 4 * slot),
    v128.load32_splat(READY_ZEROS + 4 * slot),
  );
}

/** Writes the group of a lane, whose grid is in the slot of its number. */
function finish(lane: usize, codes: usize, scales: usize, zeroPoints: usize): void {
  const index = <usize>load<u32>(GROUPS + 4 * lane);
  const scaleBytes = bytesOfScale();
  memory.copy(scales + index * scaleBytes, SCALES + lane * scaleBytes, scaleBytes);
  encodePiece(VALUES + 4 * PIECE * lane, lane, group, codes, index * group);
  const code = zeroPointCode(lane);
  if (zeroPoints != 0) {
    const rowBytes = (blocks * <usize>bits + 7) >> 3;
    setCode(zeroPoints + (index / blocks) * rowBytes, index % blocks, code);
  }
  // 0 * infinity is not the zero point: padding is, whatever the scale
  for (let i = countOf(index); i < group; i++) setCode(codes, index * group + i, code);
}

/**
 * Quantizes rows by groups of at most 256 columns; after integerSettings. False where a value is not finite;
 * `zeroPoints` is 0 for symmetric codes.
 */
export function halfQuadraticGroups(
  dtype: i32,
  scaleDtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  groupSize: usize,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
): bool {
  if (!allFinite(dtype, from, rows * cols)) return false;
  unitSettings(dtype, scaleDtype);
  source = from;
  valueBytes = bytesOf(dtype);
  columns = cols;
  group = groupSize;
  blocks = (cols + group - 1) / group;
  total = rows * blocks;
  // the nibble left over at the end of a row's zero points is 8
  if (zeroPoints != 0) memory.fill(zeroPoints, <u8>(0x88 ^ flip), rows * ((blocks * <usize>bits + 7) >> 3));
  v128.store(GROUPS, i32x4.splat(NONE));
  let taken: usize = 0;
  for (let isDone = false; !isDone; ) {
    storeDescended(v128.load(PLAIN_SCALES), v128.load(PLAIN_ZEROS));
    const goingOn = i32x4.bitmask(isDescending);
    for (let lane: usize = 0; lane < 4; lane++) {
      if (((goingOn >> <i32>lane) & 1) != 0 || load<u32>(GROUPS + 4 * lane) == NONE) continue;
      finish(lane, codes, scales, zeroPoints);
      store<u32>(GROUPS + 4 * lane, NONE);
    }
    // afterwards, since readying groups takes the slots of those that have ended
    for (let lane: usize = 0; lane < 4 && taken < total; lane++) {
      if (load<u32>(GROUPS + 4 * lane) == NONE) take(lane, taken++);
    }
    addPiece(group);
    endRound(v128.load(COUNTS));
    isDone = i32x4.all_true(i32x4.eq(v128.load(GROUPS), i32x4.splat(NONE)));
  }
  return true;
}
