/** Float32 implementations are up to 5e-5 apart in logits; the smallest mistake tried moves them by 1e-3. */
export const TOLERANCE = 2e-4;
