// Algorithm `hqq` with a scale for each row, four rows in step: twin of schemes/arithmetic/integer_scheme.ts, strategy
// `channel`.
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
import { bits, bytesOfScale, SCALES, setCode, zeroPointCode } from './integer_grids';
import { bytesOf } from './lanes';

/** Chooses the grids of four rows, in slots 0 to 3. */
function chooseFour(cols: usize): void {
  startRange();
  for (let done: usize = 0; done < cols; done += PIECE) {
    const count = min(PIECE, cols - done);
    stage(done, count, LANES);
    widenRange(count, LANES);
  }
  choosePlain();
  startDescent(i32x4.splat(-1), plainScale, plainZero);
  while (v128.any_true(isDescending)) {
    for (let done: usize = 0; done < cols; done += PIECE) {
      const count = min(PIECE, cols - done);
      if (cols > PIECE) stage(done, count, LANES);
      addPiece(count);
    }
    endRound(unitCounts());
  }
  storeDescended(plainScale, plainZero);
}

/** Quantizes rows; after integerSettings. False where a value is not finite; `zeroPoints` is 0 for symmetric codes. */
export function halfQuadraticRows(
  dtype: i32,
  scaleDtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
): bool {
  if (!allFinite(dtype, from, rows * cols)) return false;
  unitSettings(dtype, scaleDtype);
  const scaleBytes = bytesOfScale();
  // nibbles that are left over at the end of a part are 0
  if (zeroPoints != 0) memory.fill(zeroPoints, 0, (rows * <usize>bits + 7) >> 3);
  if (bits == 4) memory.fill(codes, 0, (rows * cols + 1) >> 1);
  for (let first: usize = 0; first < rows; first += 4) {
    const held = min<usize>(4, rows - first);
    for (let slot: usize = 0; slot < 4; slot++) {
      placeUnit(slot, from + (first + slot) * cols * bytesOf(dtype), slot < held ? cols : 0);
    }
    chooseFour(cols);
    memory.copy(scales + first * scaleBytes, SCALES, held * scaleBytes);
    for (let slot: usize = 0; zeroPoints != 0 && slot < held; slot++) {
      setCode(zeroPoints, first + slot, zeroPointCode(slot));
    }
    for (let done: usize = 0; done < cols; done += PIECE) {
      const count = min(PIECE, cols - done);
      if (cols > PIECE) stage(done, count, LANES);
      for (let slot: usize = 0; slot < held; slot++) {
        encodePiece(STAGE + 4 * PIECE * slot, slot, count, codes, (first + slot) * cols + done);
      }
    }
  }
  return true;
}
