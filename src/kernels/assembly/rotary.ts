// Rotary tables: two angles at a time in f64x2. An angle is a float32 below 2^20; one step of Cody and Waite with pi/2 in
// two parts (33 + 53 bits) leaves more than 40 right bits in the rest, and float32 needs 24.

const TWO_OVER_PI: f64 = 6.36619772367581382433e-1;
const HALF_PI_HIGH: f64 = 1.57079632673412561417;
const HALF_PI_LOW: f64 = 6.07710050650619224932e-11;

// Minimax polynomials of sine and cosine on [-pi/4, pi/4], from fdlibm's k_sin.c and k_cos.c.
const S1: f64 = -1.66666666666666324348e-1;
const S2: f64 = 8.33333333332248946124e-3;
const S3: f64 = -1.98412698298579493134e-4;
const S4: f64 = 2.75573137070700676789e-6;
const S5: f64 = -2.50507602534068634195e-8;
const S6: f64 = 1.58969099521155010221e-10;
const C1: f64 = 4.16666666666666019037e-2;
const C2: f64 = -1.38888888888741095749e-3;
const C3: f64 = 2.48015872894767294178e-5;
const C4: f64 = -2.75573143513906633035e-7;
const C5: f64 = 2.08757232129817482790e-9;
const C6: f64 = -1.13596475577881948265e-11;

/** Adding and taking away 1.5 * 2^52 rounds to an integer, whose lowest bits are then those of the sum. */
const TO_INTEGER: f64 = 6755399441055744.0;

// @ts-ignore: decorator
@inline
function line(a: v128, b: v128, z: v128): v128 {
  return f64x2.add(a, f64x2.mul(b, z));
}

// @ts-ignore: decorator
@inline
function pair(a: f64, b: f64, z: v128): v128 {
  return line(f64x2.splat(a), f64x2.splat(b), z);
}

/** Cosines (quarter = 1) or sines (quarter = 0) of two float64 angles. */
// @ts-ignore: decorator
@inline
function waves(angles: v128, quarter: i64): v128 {
  const shifted = f64x2.add(f64x2.mul(angles, f64x2.splat(TWO_OVER_PI)), f64x2.splat(TO_INTEGER));
  const turns = f64x2.sub(shifted, f64x2.splat(TO_INTEGER));
  const r = f64x2.sub(
    f64x2.sub(angles, f64x2.mul(turns, f64x2.splat(HALF_PI_HIGH))),
    f64x2.mul(turns, f64x2.splat(HALF_PI_LOW)),
  );
  const z = f64x2.mul(r, r);
  // by Estrin's scheme: half as long a chain of operations that wait for each other as by Horner's
  const y = f64x2.mul(z, z);
  const sine = f64x2.add(
    r,
    f64x2.mul(f64x2.mul(z, r), line(pair(S1, S2, z), line(pair(S3, S4, z), pair(S5, S6, z), y), y)),
  );
  const tail = line(pair(C1, C2, z), line(pair(C3, C4, z), pair(C5, C6, z), y), y);
  const cosine = f64x2.add(
    f64x2.sub(f64x2.splat(1), f64x2.mul(f64x2.splat(0.5), z)),
    f64x2.mul(y, tail),
  );
  // Quadrant q of sin(x + q pi/2): odd ones take the cosine, those from 2 on change the sign.
  const quadrant = i64x2.add(shifted, i64x2.splat(quarter));
  const isOdd = i64x2.neg(v128.and(quadrant, i64x2.splat(1)));
  const sign = i64x2.shl(v128.and(quadrant, i64x2.splat(2)), 62);
  return v128.xor(v128.bitselect(cosine, sine, isOdd), sign);
}

/**
 * Rows [first, first + rows) of a table: f(frequency * position) * factor for `count` float32 frequencies, a row a
 * position. `frequencies` and `out` may be unaligned.
 */
export function rotaryRows(
  frequencies: usize,
  count: u32,
  first: u32,
  rows: u32,
  factor: f32,
  cosine: bool,
  out: usize,
): void {
  const quarter: i64 = cosine ? 1 : 0;
  const pairsEnd = frequencies + ((count & ~1) << 2);
  const factors = f32x4.splat(factor);
  let at = out;
  for (let row: u32 = 0; row < rows; row++) {
    const positions = f32x4.splat(<f32>(first + row));
    let f = frequencies;
    for (; f + 8 < pairsEnd; f += 16) {
      const angles = f32x4.mul(v128.load(f), positions);
      const upper = v128.shuffle<f32>(angles, angles, 2, 3, 2, 3);
      const a = f32x4.demote_f64x2_zero(waves(f64x2.promote_low_f32x4(angles), quarter));
      const b = f32x4.demote_f64x2_zero(waves(f64x2.promote_low_f32x4(upper), quarter));
      v128.store(at, f32x4.mul(v128.shuffle<f32>(a, b, 0, 1, 4, 5), factors));
      at += 16;
    }
    for (; f < pairsEnd; f += 8) {
      const angles = f64x2.promote_low_f32x4(f32x4.mul(v128.load64_zero(f), positions));
      const values = f32x4.mul(f32x4.demote_f64x2_zero(waves(angles, quarter)), factors);
      v128.store64_lane(at, values, 0);
      at += 8;
    }
    if (count & 1) {
      const angles = f64x2.promote_low_f32x4(f32x4.mul(v128.load32_zero(pairsEnd), positions));
      const values = f32x4.mul(f32x4.demote_f64x2_zero(waves(angles, quarter)), factors);
      v128.store32_lane(at, values, 0);
      at += 4;
    }
  }
}
