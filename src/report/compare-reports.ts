import type {
  CheckChange,
  MetricChange,
  ReportComparison,
  SettingChange,
  SizeChange,
  TensorChange,
} from '../core/verify-comparison.js';
import type { Comparison, Interval, MetricValue, Verdict, VerifyReport } from '../core/verify-report.js';
import { checkNames } from './check-names.js';

const TENSORS = 20;
/** Reports of the same numbers differ in no digit; this leaves room for another processor's arithmetic. */
const DB = 0.005;
const RANK: Record<Verdict, number> = { pass: 0, ambiguous: 1, fail: 2 };

export interface NamedReport {
  file: string;
  report: VerifyReport;
}

/** What changed from one report to another. */
export function compareReports(before: NamedReport, after: NamedReport): ReportComparison {
  const [a, b] = [before.report, after.report];
  const { changes, same } = checkChanges(a, b);
  const { metrics, incomparable } = metricChanges(a, b);
  const tensors = tensorChanges(a, b);
  return {
    formatVersion: 1,
    before: sideOf(before),
    after: sideOf(after),
    isWorse: RANK[b.verdict] > RANK[a.verdict],
    settings: settingChanges(a, b),
    checks: changes,
    sameChecks: same,
    metrics,
    incomparable,
    sizes: sizeChanges(a, b),
    bitsPerWeight: { before: a.subject.bitsPerWeight, after: b.subject.bitsPerWeight },
    tensors: tensors.slice(0, TENSORS),
    changedTensors: tensors.length,
  };
}

const sideOf = ({ file, report: { verdict, summary, reproduce, subject } }: NamedReport) => ({
  file,
  path: subject.path,
  verdict,
  summary,
  reproduce,
});

/** Names of both in the order of the second, then those that only the first has. */
function union<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): string[] {
  return [...b.keys(), ...[...a.keys()].filter((name) => !b.has(name))];
}

function settingChanges(a: VerifyReport, b: VerifyReport): SettingChange[] {
  const [before, after] = [settingsOf(a), settingsOf(b)];
  return union(before, after).flatMap((name) => {
    const [was, is] = [before.get(name) ?? null, after.get(name) ?? null];
    return was === is ? [] : [{ name, before: was, after: is }];
  });
}

function settingsOf({ tool, subject, reference, provenance }: VerifyReport): Map<string, string> {
  const options = Object.entries(provenance.options ?? {}).map(([name, value]): [string, string] => [
    `options.${name}`,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  const files = provenance.reference.map(({ name, sha256 }): [string, string] => [`reference ${name}`, sha256]);
  return new Map([
    ['halfbyte', tool.version],
    ...Object.entries(provenance.versions),
    ['platform', provenance.platform],
    ['model', subject.model],
    ['target', subject.target],
    ['reference', reference.kind],
    ...options,
    ...files,
  ]);
}

function checkChanges(a: VerifyReport, b: VerifyReport): { changes: CheckChange[]; same: number } {
  const byName = ({ checks }: VerifyReport) => {
    const names = checkNames(checks);
    return new Map(checks.map((check, index) => [names[index], check]));
  };
  const [before, after] = [byName(a), byName(b)];
  const changes = union(before, after).flatMap((name): CheckChange[] => {
    const [was, is] = [before.get(name), after.get(name)];
    const check = is ?? was;
    if (!check || was?.verdict === is?.verdict) return [];
    const { group, message } = check;
    return [{ name, group, before: was?.verdict ?? null, after: is?.verdict ?? null, message }];
  });
  return { changes, same: union(before, after).length - changes.length };
}

function metricChanges(a: VerifyReport, b: VerifyReport) {
  const byName = ({ comparisons }: VerifyReport) =>
    new Map(comparisons.map((each) => [`${each.set} against ${each.referee}`, each]));
  const [before, after] = [byName(a), byName(b)];
  const metrics: MetricChange[] = [];
  const incomparable: string[] = [];
  for (const name of union(before, after)) {
    const [was, is] = [before.get(name), after.get(name)];
    if (!was || !is) incomparable.push(`${name}: only in the ${was ? 'first' : 'second'} report`);
    else if (idsOf(a, was) !== idsOf(b, is)) incomparable.push(`${name}: the token ids are not the same`);
    else metrics.push(...changesOf(was, is));
  }
  return { metrics, incomparable };
}

/** The ids of a comparison's set as text; lengths where a report has no ids. */
function idsOf({ tokens }: VerifyReport, { set, lengths }: Comparison): string {
  const found = tokens?.sets.find(({ name }) => name === set);
  return JSON.stringify(found?.sequences ?? lengths);
}

function changesOf(was: Comparison, is: Comparison): MetricChange[] {
  return is.metrics.flatMap((after) => {
    const before = was.metrics.find(({ id }) => id === after.id);
    if (!before) return [];
    const { id, unit, better } = after;
    const difference = after.value - before.value;
    return [
      {
        set: is.set,
        referee: is.referee,
        id,
        unit,
        before: before.value,
        after: after.value,
        difference,
        intervals: { before: before.interval, after: after.interval },
        isWithin: isWithin(before, after),
        // NaN is worse than any number.
        isWorse: Number.isNaN(after.value)
          ? !Number.isNaN(before.value)
          : better === 'lower'
            ? difference > 0
            : difference < 0,
      },
    ];
  });
}

function isWithin(a: MetricValue, b: MetricValue): boolean | null {
  if (a.value === b.value) return true;
  if (!a.interval || !b.interval) return null;
  const holds = ({ low, high }: Interval, value: number) => low <= value && value <= high;
  return holds(a.interval, b.value) && holds(b.interval, a.value);
}

function sizeChanges(a: VerifyReport, b: VerifyReport): SizeChange[] {
  const sizes = ({ subject }: VerifyReport) => {
    const total = subject.files.reduce((sum, { size }) => sum + size, 0);
    const parts = (subject.sizes ?? []).map(({ scheme, nbytes }): [string, number] => [scheme, nbytes]);
    return new Map([...parts, ['weights', subject.weightBytes], ['files', total]] as [string, number | null][]);
  };
  const [before, after] = [sizes(a), sizes(b)];
  return union(before, after).flatMap((name) => {
    const [was, is] = [before.get(name) ?? null, after.get(name) ?? null];
    return was === null && is === null ? [] : [{ name, before: was, after: is }];
  });
}

/** Weights whose scheme or SQNR changed, most lost first; what is exact has an infinite SQNR. */
function tensorChanges(a: VerifyReport, b: VerifyReport): TensorChange[] {
  const before = new Map(a.tensors.map((each) => [each.name, each]));
  const lost = ({ sqnrDb: { before, after } }: TensorChange) =>
    before === after ? 0 : (before ?? Number.POSITIVE_INFINITY) - (after ?? Number.POSITIVE_INFINITY);
  const changes = b.tensors.flatMap((after): TensorChange[] => {
    const was = before.get(after.name);
    if (!was) return [];
    const change: TensorChange = {
      name: after.name,
      schemes: { before: was.scheme, after: after.scheme },
      sqnrDb: { before: was.sqnrDb, after: after.sqnrDb },
    };
    return was.scheme === after.scheme && Math.abs(lost(change)) < DB ? [] : [change];
  });
  return changes.sort((x, y) => {
    const [p, q] = [lost(x), lost(y)];
    return p === q ? 0 : q > p ? 1 : -1;
  });
}
