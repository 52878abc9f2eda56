/**
 * Running sums over two streams of values, in float64: what SQNR, cosine and the greatest difference need of a weight
 * or a hidden state that is never held whole.
 */
export class ErrorSums {
  signal = 0;
  noise = 0;
  actual = 0;
  product = 0;
  greatest = 0;
  count = 0;

  add(reference: Float32Array, actual: Float32Array): this {
    if (reference.length !== actual.length) throw new Error(`${reference.length} values against ${actual.length}`);
    // sums in locals: as fields they would be stored after every value
    let { signal, noise, actual: size, product, greatest } = this;
    for (let i = 0; i < reference.length; i++) {
      const r = reference[i];
      const a = actual[i];
      const difference = r === a ? 0 : Math.abs(r - a);
      signal += r * r;
      size += a * a;
      product += r * a;
      noise += difference * difference;
      if (difference > greatest || Number.isNaN(difference)) greatest = difference;
    }
    this.signal = signal;
    this.noise = noise;
    this.actual = size;
    this.product = product;
    this.greatest = greatest;
    this.count += reference.length;
    return this;
  }

  /** Signal-to-quantization-noise ratio, 10 log10(sum r^2 / sum (r - a)^2): Infinity where nothing differs. */
  get sqnrDb(): number {
    return this.noise === 0 ? Infinity : 10 * Math.log10(this.signal / this.noise);
  }

  /** Cosine of the angle between the two; 1 where both are zero, 0 where one of them is. */
  get cosine(): number {
    if (this.signal === 0 && this.actual === 0) return 1;
    if (this.signal === 0 || this.actual === 0) return 0;
    return this.product / Math.sqrt(this.signal) / Math.sqrt(this.actual);
  }

  /** Root of the mean squared difference. */
  get rootMeanSquareError(): number {
    return Math.sqrt(this.noise / this.count);
  }
}
