import type { Builder } from 'junit-report-builder';
import { printable } from '../core/printable.js';
import type { Check, CheckGroup, VerifyReport } from '../core/verify-report.js';
import { checkNames } from './check-names.js';

const GROUPS: CheckGroup[] = ['integrity', 'weights', 'structure', 'reference', 'gate'];

/**
 * JUnit XML: a suite for each group of checks, a test case for each check. An ambiguous check is skipped, with what was
 * found in its output, and under --strict a failure, as the exit code has it. No times: equal runs give equal files.
 */
export async function verifyJunit(report: VerifyReport): Promise<string> {
  // CommonJS with the types of its ES build: what is imported by default is the builder itself.
  const { default: builder } = (await import('junit-report-builder')) as unknown as { default: Builder };
  const junit = builder.newBuilder().name(text(`halfbyte verify ${report.subject.path}`));
  const names = checkNames(report.checks);
  const named = report.checks.map((check, index) => ({ check, name: names[index] }));
  if (named.length === 0) {
    const check: Check = { id: 'verdict', group: 'integrity', verdict: report.verdict, message: report.summary };
    named.push({ check, name: check.id });
  }
  let told = properties(report);
  for (const group of GROUPS) {
    const members = named.filter(({ check }) => check.group === group);
    if (members.length === 0) continue;
    const suite = junit.testSuite().name(group);
    // The first suite has them: readers take properties of suites, not of the whole.
    for (const [name, value] of told) suite.property(text(name), text(value));
    told = [];
    for (const { check, name } of members) {
      const testCase = suite.testCase().className(`halfbyte.verify.${group}`).name(text(name));
      if (check.verdict === 'pass') testCase.standardOutput(text(check.message));
      else if (check.verdict === 'fail' || report.strict) {
        testCase.failure(text(check.message), check.verdict).stacktrace(text(details(check, report)));
      } else testCase.skipped().standardOutput(text(`ambiguous: ${check.message}`));
    }
  }
  return `${junit.build()}\n`;
}

/** XML has no control characters; the builder leaves lone surrogates in, and all ends of CDATA but the first. */
const text = (value: string) =>
  Buffer.from(printable(value))
    .toString()
    .replace(/[\ufffe\uffff]/g, '\ufffd')
    .replaceAll(']]>', ']] >');

function details(check: Check, { localisation, reproduce }: VerifyReport): string {
  const { message, where, measured, limit, unit } = check;
  const lines = [message];
  if (where !== undefined) lines.push(`where: ${where}`);
  if (measured !== undefined) lines.push(`measured: ${measured}${unit ? ` ${unit}` : ''}`);
  if (limit !== undefined) lines.push(`limit: ${limit}${unit ? ` ${unit}` : ''}`);
  for (const finding of localisation?.findings ?? []) lines.push(`finding: ${finding}`);
  for (const { statement, likely } of localisation?.hypotheses ?? []) if (likely) lines.push(`likely: ${statement}`);
  return [...lines, `reproduce: ${reproduce}`].join('\n');
}

/** What a dashboard may show beside the cases: what was compared, and the numbers. */
function properties({ subject, reference, tool, verdict, summary, comparisons }: VerifyReport): [string, string][] {
  return [
    ['verdict', verdict],
    ['summary', summary],
    ['package', subject.path],
    ['reference', reference.path],
    ['halfbyte', tool.version],
    ...comparisons.flatMap(({ set, referee, metrics }) =>
      metrics.map(({ id, value }): [string, string] => [`${id} on ${set} against ${referee}`, String(value)]),
    ),
  ];
}
