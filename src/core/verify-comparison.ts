import type { CheckGroup, Interval, Verdict, VerifyReport } from './verify-report.js';

/** A check whose verdict is not the same in both reports; null where one of them does not have it. */
export interface CheckChange {
  name: string;
  group: CheckGroup;
  before: Verdict | null;
  after: Verdict | null;
  /** What the second report says, or the first where the second has no such check. */
  message: string;
}

/** A metric on a token set in both reports. */
export interface MetricChange {
  set: string;
  referee: string;
  id: string;
  unit: string;
  before: number;
  after: number;
  difference: number;
  intervals: { before: Interval | null; after: Interval | null };
  /** Equal, or each value inside the other's 95 % interval; null where there are no intervals. */
  isWithin: boolean | null;
  /** Whether `after` is worse, whatever the intervals say. */
  isWorse: boolean;
}

/** A weight whose error is not the same in both reports. */
export interface TensorChange {
  name: string;
  schemes: { before: string; after: string };
  /** null: exactly equal to the checkpoint. */
  sqnrDb: { before: number | null; after: number | null };
}

export interface SizeChange {
  /** A scheme, `weights` or `files`. */
  name: string;
  /** Bytes; null where one of the two has none of it. */
  before: number | null;
  after: number | null;
}

/** Something else of the two runs that is not the same, as the target or a version. */
export interface SettingChange {
  name: string;
  before: string | null;
  after: string | null;
}

type Side = Pick<VerifyReport, 'verdict' | 'summary' | 'reproduce'> & { file: string; path: string };

/** What changed between two reports of verify: the `--json` document of `verify --compare`. */
export interface ReportComparison {
  formatVersion: 1;
  before: Side;
  after: Side;
  /** Whether the second verdict is worse than the first: pass, ambiguous, fail. */
  isWorse: boolean;
  settings: SettingChange[];
  checks: CheckChange[];
  /** Checks with the same verdict in both. */
  sameChecks: number;
  metrics: MetricChange[];
  /** Token sets that only one report has, or whose ids are not the same. */
  incomparable: string[];
  sizes: SizeChange[];
  bitsPerWeight: { before: number | null; after: number | null };
  /** Most lost first, at most 20. */
  tensors: TensorChange[];
  changedTensors: number;
}
