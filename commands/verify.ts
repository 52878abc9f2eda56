import { string as stringArgument } from '@oclif/core/args';
import { boolean, integer, string } from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import { commandLine } from '../src/core/command-line.js';
import { UsageError } from '../src/core/errors.js';
import type { ReportComparison } from '../src/core/verify-comparison.js';
import type { VerifyReport } from '../src/core/verify-report.js';

/** Flags that change how a report is shown, not what it says. */
const SHOWING = { report: 'value', force: 'flag', json: 'flag', quiet: 'flag' } as const;

export default class Verify extends HalfbyteCommand {
  static override summary = 'Prove that a package still says what its checkpoint said.';
  static override description =
    'Judges structure (the graph against the reference engine on the same numbers), weights and integrity; KL ' +
    'divergence, agreement and perplexity are reported and judged by --gate. Exit code 1: the package differs, or ' +
    'with --compare the second verdict is worse than the first; 3: one of the two cannot be read.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> union-int4 --reference fixtures/union-1.8m/golden.safetensors',
    {
      description: 'perplexity on the same windows as well',
      command: '<%= config.bin %> <%= command.id %> union-int4 --reference golden.safetensors --text heldout.txt',
    },
    {
      description: 'a page for people, JUnit for CI, JSON for the next comparison',
      command:
        '<%= config.bin %> <%= command.id %> out --reference model --report out.html --report out.xml --report out.json',
    },
    {
      description: 'what changed between two runs',
      command: '<%= config.bin %> <%= command.id %> --compare before.json after.json',
    },
  ];
  static override args = {
    path: stringArgument({ description: 'Directory of the package or of the quantized checkpoint, or a .gguf file.' }),
  };
  static override flags = {
    reference: string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'The original checkpoint, a safetensors file with its logits, or one of each.',
    }),
    'reference-command': string({
      description: "A program that answers ids with logits, as 'python scripts/reference_hf.py <checkpoint>'.",
    }),
    'reference-timeout': integer({ min: 1, description: 'Seconds that it may take. Default: 3600.' }),
    'save-reference': string({ description: "File that keeps the reference's logits for the next --reference." }),
    'save-reference-top': integer({ min: 5, description: 'Keep so many logits of each position. Default: all.' }),
    gate: string({
      multiple: true,
      multipleNonGreedy: true,
      default: [],
      description: "A demand, as 'kl_divergence<0.02'; may be given more than once.",
    }),
    report: string({
      multiple: true,
      multipleNonGreedy: true,
      default: [],
      description: 'Write the report to this file: .html, .xml (JUnit) or .json; may be given more than once.',
    }),
    compare: string({
      multiple: true,
      description: 'Two reports in JSON: say what changed from the first to the second, instead of verifying.',
      helpValue: '<before> <after>',
    }),
    text: string({ description: 'Text file whose perplexity is measured.' }),
    windows: integer({ min: 1, description: 'At most so many windows of 256 tokens of it. Default: all.' }),
    ids: string({ description: "Token ids to compare on besides, as '1,2,3'; sequences end with a semicolon." }),
    strict: boolean({ default: false, description: 'Exit with 1 when the verdict is ambiguous.' }),
    force: boolean({
      description: 'Replace files that halfbyte did not write, at the places of --report and --save-reference.',
    }),
    threads: integer({ min: 1, description: 'Threads of the runtime. Default: one a physical core.' }),
  };

  async run(): Promise<VerifyReport | ReportComparison> {
    const { args, flags } = await this.parse(Verify);
    if (flags.compare) return this.#compare(flags.compare, args.path);
    const hasReference = flags.reference !== undefined || flags['reference-command'] !== undefined;
    if (args.path === undefined || !hasReference) {
      throw new UsageError(
        `verify needs ${args.path === undefined ? 'a package' : 'a --reference'}.`,
        'halfbyte verify <package> --reference <checkpoint>.',
      );
    }
    const { describeVerify, verify } = await import('../src/stages/verify.js');
    const report = await verify({
      path: args.path,
      reference: flags.reference,
      referenceCommand: flags['reference-command'],
      referenceTimeout: flags['reference-timeout'],
      saveReference: flags['save-reference'],
      saveReferenceTop: flags['save-reference-top'],
      gates: flags.gate,
      text: flags.text,
      windows: flags.windows,
      ids: flags.ids,
      strict: flags.strict,
      threads: this.threads('--threads', flags.threads),
      reports: flags.report,
      force: flags.force,
      reproduce: `halfbyte verify ${commandLine(this.argv, SHOWING)}`,
      onProgress: this.progress('Verifying'),
      signal: this.signal,
    });
    if (report.verdict === 'fail' || (report.verdict === 'ambiguous' && flags.strict)) this.exitCode = 1;
    this.log(describeVerify(report));
    for (const file of flags.report) this.say(`Report: ${file}`);
    return report;
  }

  async #compare(files: string[], path: string | undefined): Promise<ReportComparison> {
    if (path !== undefined) {
      throw new UsageError(
        `--compare takes two reports and no package; "${path}" is left over.`,
        'halfbyte verify --compare before.json after.json.',
      );
    }
    const { compareReportFiles, describeComparison } = await import('../src/stages/compare-reports.js');
    const comparison = await compareReportFiles(files);
    if (comparison.isWorse) this.exitCode = 1;
    this.log(describeComparison(comparison));
    return comparison;
  }
}
