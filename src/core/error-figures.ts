import { cosineOf, type ErrorSums, sqnrOf } from './error-sums.js';

/** What rounding took from the weights of a tensor, or of several, in figures. Survives JSON. */
export interface ErrorFigures {
  /** 10 log10(sum r^2 / sum (r - a)^2); null where nothing was lost (`exact`) and where there is no number. */
  sqnrDb: number | null;
  cosine: number | null;
  /** Greatest |r - a|. */
  maxAbsError: number | null;
  /** Weights beyond the end of their grid by more than half of its last step; null where the scheme's ends are not known. */
  saturated: number | null;
  /** Weights that are not 0 and became 0. */
  zeroed: number;
  /** Weights beyond six times the root mean square of their row. */
  outliers: number;
  /** Whether every weight kept its value. */
  exact: boolean;
}

/** Figures of tensors whose codes or floats were taken over as they are. */
export const EXACT: ErrorFigures = {
  sqnrDb: null,
  cosine: 1,
  maxAbsError: 0,
  saturated: 0,
  zeroed: 0,
  outliers: 0,
  exact: true,
};

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** `saturates` says whether saturation was counted. */
export function figuresOf(sums: ErrorSums, saturates: boolean): ErrorFigures {
  return {
    sqnrDb: finite(sqnrOf(sums)),
    cosine: finite(cosineOf(sums)),
    maxAbsError: finite(sums.greatest),
    saturated: saturates ? sums.saturated : null,
    zeroed: sums.zeroed,
    outliers: sums.outliers,
    exact: sums.noise === 0,
  };
}
