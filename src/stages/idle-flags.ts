import { UsageError } from '../core/errors.js';
import { matchesGlob } from '../core/glob.js';
import type { Graph } from '../core/graph.js';
import { nearest } from '../core/nearest.js';
import type { ConvertOptions } from '../core/options.js';
import type { QuantizationArgs } from '../core/scheme.js';
import type { ConvertRequest } from './convert-options.js';

/** Globs of the command line that choose weights, each with the flag that brought it. */
export interface NamedGlobs {
  only?: readonly string[] | undefined;
  skip?: readonly string[] | undefined;
  overrides?: readonly { pattern: string }[];
}

/** Throws UsageError for the first glob that none of the names that could be chosen matches. */
export function refuseIdleGlobs({ only = [], skip = [], overrides = [] }: NamedGlobs, names: readonly string[]): void {
  const globs = [
    ...only.map((glob) => ['--only', glob] as const),
    ...skip.map((glob) => ['--skip', glob] as const),
    ...overrides.map(({ pattern }) => ['--override', pattern] as const),
  ];
  for (const [flag, glob] of globs) {
    if (names.some((name) => matchesGlob(name, glob))) continue;
    const meant = nearest(glob, names) ?? names[0];
    throw new UsageError(
      `${flag} ${glob}: matches none of the ${names.length} weights that it may choose from.`,
      `the names are those of "halfbyte inspect", as ${meant}; * stands for any characters.`,
    );
  }
}

interface SchemeFlags {
  groupSize?: string | undefined;
  asymmetric?: boolean | undefined;
  scales?: string | undefined;
  algorithm?: string | undefined;
  strategy?: string | undefined;
}

/** Throws UsageError for a setting of integers where every scheme that is asked for holds floats. */
export function refuseIdleSettings(flags: SchemeFlags, asked: readonly QuantizationArgs[]): void {
  const floats = ['f32', 'f16', 'bf16'];
  if (!asked.every(({ scheme }) => floats.includes(scheme))) return;
  const named: [flag: string, value: unknown][] = [
    ['--group-size', flags.groupSize],
    ['--asymmetric', flags.asymmetric],
    ['--scales', flags.scales],
    ['--algorithm', flags.algorithm],
    ['--strategy', flags.strategy],
  ];
  const idle = named.find(([, value]) => value !== undefined && value !== false);
  if (!idle) return;
  const schemes = [...new Set(asked.map(({ scheme }) => scheme))].join(' and ');
  throw new UsageError(
    `${idle[0]}: ${schemes} has no scales or groups that it could set.`,
    `leave ${idle[0]} out, or --weights int4.`,
  );
}

/**
 * Throws UsageError for a flag of convert that would change nothing: for devices that the target is none of, which its
 * defaults tell, or for layers that the model does not have.
 */
export function refuseIdleForms(
  { activations, attention, prefill, mla, experts, target = 'cpu' }: ConvertRequest,
  defaults: Partial<ConvertOptions>,
  graphs: readonly Graph[],
): void {
  const has = (op: string) => graphs.some(({ nodes }) => nodes.some((node) => node.op === op));
  const idle = (flag: string, why: string, advice: string) => {
    throw new UsageError(`${flag}: ${why}, so it would change nothing.`, advice);
  };
  const forDevices: [flag: string, value: unknown][] = [
    ['--activations', defaults.activations === undefined ? activations : undefined],
    ['--attention', defaults.attention === undefined ? attention : undefined],
    ['--prefill', defaults.attention === undefined ? prefill : undefined],
  ];
  const given = forDevices.find(([, value]) => value !== undefined);
  if (given) {
    idle(given[0], `the target ${target} is no NPU`, `leave it out, or --target qnn, openvino or vitisai.`);
  }
  if (mla !== undefined && !has('LatentAttention')) {
    idle('--mla', 'this model has no multi-head latent attention', 'leave it out.');
  }
  if (experts !== undefined && !has('Experts')) idle('--experts', 'this model has no experts', 'leave it out.');
}
