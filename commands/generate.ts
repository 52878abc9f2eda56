import { string as stringArgument } from '@oclif/core/args';
import { boolean, integer, string } from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import { UsageError } from '../src/core/errors.js';
import type { GenerateResult } from '../src/stages/generate.js';

export default class Generate extends HalfbyteCommand {
  static override description =
    'Continue a prompt with a package. Text appears on stdout as it is made; the speed follows on stderr.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> union-int4 -p "My fellow Americans," --greedy',
    '<%= config.bin %> <%= command.id %> qwen-int4 --chat -p "Why is the sky blue?" --max-new-tokens 500',
    'echo "Once upon a time" | <%= config.bin %> <%= command.id %> stories-int4 -p - --temperature 0.8 --seed 7',
    '<%= config.bin %> <%= command.id %> tiny-int4 --ids 17,4,99 --json',
    '<%= config.bin %> <%= command.id %> deepseek-int4 -p "Why is the sky blue?" --greedy --speculate mtp',
  ];
  static override args = {
    package: stringArgument({ required: true, description: 'Directory of the package, as halfbyte convert wrote it.' }),
  };
  static override flags = {
    prompt: string({ char: 'p', description: 'Text to continue; - reads it from stdin.', exclusive: ['ids'] }),
    ids: string({ description: 'Token ids to continue, separated by commas; nothing is added to them.' }),
    chat: boolean({ description: "Ask the prompt as a user's message, with the chat template of the tokenizer." }),
    system: string({ description: 'System message of the chat.', dependsOn: ['chat'] }),
    'max-new-tokens': integer({ default: 128, min: 1, description: 'Stop after this many tokens.' }),
    temperature: string({ description: 'Sample with this temperature; 0 is greedy. Default: of the package.' }),
    'top-k': integer({ min: 0, description: 'Sample among the k likeliest tokens; 0: all. Default: of the package.' }),
    'top-p': string({
      description: 'Sample among the likeliest tokens with this probability in sum. Default: of the package.',
    }),
    'repetition-penalty': string({
      description: 'Make tokens already in the text less likely. Default: of the package.',
    }),
    seed: integer({ min: 0, description: 'Start of the random numbers; the same seed gives the same text.' }),
    greedy: boolean({
      description: 'Always take the likeliest token.',
      exclusive: ['temperature', 'top-k', 'top-p'],
    }),
    speculate: string({
      options: ['mtp'],
      description:
        "Draft tokens with the package's multi-token prediction and check them with the model: the text of --greedy in fewer calls.",
    }),
    threads: integer({ min: 1, description: 'Threads of the runtime. Default: one a physical core.' }),
  };

  async run(): Promise<GenerateResult> {
    const { args, flags } = await this.parse(Generate);
    const { generate } = await import('../src/stages/generate.js');
    let lastPiece = '';
    const endLine = () => {
      if (lastPiece !== '' && !lastPiece.endsWith('\n')) process.stdout.write('\n');
      lastPiece = '';
    };
    try {
      const result = await generate({
        package: args.package,
        prompt: flags.prompt === '-' ? await readStdin() : flags.prompt,
        ids: flags.ids === undefined ? undefined : idList(flags.ids),
        chat: flags.chat,
        system: flags.system,
        maxNewTokens: flags['max-new-tokens'],
        temperature: numberOf('--temperature', flags.temperature),
        topK: flags['top-k'],
        topP: numberOf('--top-p', flags['top-p']),
        repetitionPenalty: numberOf('--repetition-penalty', flags['repetition-penalty']),
        seed: flags.seed,
        greedy: flags.greedy,
        speculate: flags.speculate as 'mtp' | undefined,
        threads: this.threads('--threads', flags.threads),
        signal: this.signal,
        forTerminal: process.stdout.isTTY,
        onText: this.jsonEnabled()
          ? undefined
          : (piece) => {
              lastPiece = piece;
              process.stdout.write(piece);
            },
      });
      endLine();
      for (const note of result.notes) this.note(note);
      this.say(summary(result));
      return result;
    } finally {
      endLine();
    }
  }
}

function numberOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`${flag} "${text}" is not a number.`);
  return value;
}

function idList(text: string): number[] {
  return text.split(',').map((part) => {
    if (/^\s*\d+\s*$/.test(part)) return Number(part);
    throw new UsageError(
      `--ids "${text}" is not a list of token ids.`,
      'separate whole numbers by commas: --ids 1,2,3',
    );
  });
}

function summary(result: GenerateResult): string {
  const decode = result.tokensPerSecond === null ? '' : `, ${result.tokensPerSecond.toFixed(1)} tokens/s`;
  const lines = [
    `${result.newTokens} new tokens${decode}; prompt of ${result.promptTokens} tokens, ` +
      `first token after ${(result.timeToFirstTokenSeconds * 1000).toFixed(0)} ms`,
  ];
  if (result.speculation) {
    const { acceptedTokens, draftedTokens, acceptanceRate, modelCalls } = result.speculation;
    const rate = acceptanceRate === null ? '' : ` (${(100 * acceptanceRate).toFixed(0)} %)`;
    lines.push(`${acceptedTokens} of ${draftedTokens} drafts accepted${rate}, ${modelCalls} calls of the model`);
  }
  if (result.sampling.doSample) lines.push(`seed ${result.sampling.seed}`);
  if (result.stopReason === 'context') lines.push('stopped at the end of the context');
  return lines.join('; ');
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  // The newline that echo and editors leave is no part of the prompt.
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}
