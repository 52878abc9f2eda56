import { join } from 'node:path';
import { SIZE_KEYS } from '../blocks/config.js';
import { ENDS } from '../blocks/decoder.js';
import { unreadKeys } from '../blocks/unknown-keys.js';
import type { DecoderConfig } from '../core/architecture.js';
import { formatBytes, formatParameters } from '../core/bytes.js';
import type { Dtype } from '../core/dtype.js';
import { InvalidInputError } from '../core/errors.js';
import { leftOutText } from '../core/left-out.js';
import type { ConvertOptions } from '../core/options.js';
import { own } from '../core/own.js';
import { printableLines, shown } from '../core/printable.js';
import { schemeText } from '../core/scheme-text.js';
import type { LogicalTensor } from '../core/weights.js';
import { openCheckpoint } from '../formats/checkpoint.js';
import { MANIFEST, type Manifest } from '../formats/manifest.js';
import { packageManifestOf } from '../formats/manifest-reader.js';
import { isPackage, openPackage } from '../formats/package-reader.js';
import { coverageOf } from '../model/coverage.js';
import { layoutOf, logicalTensors, withTiedTable } from '../model/logical-tensors.js';
import { drawGraphs, openModel, servedPositions } from '../model/model.js';
import { type Place, placesBelow } from '../places/below.js';
import { describeLint, type LintReport } from './lint.js';
import { lintPackage } from './lint-package.js';

export interface CheckpointInspection {
  kind: 'checkpoint';
  dir: string;
  model_type: string;
  /** Sizes of the model as the architecture reads them; null where the family is not supported. */
  sizes: Pick<DecoderConfig, (typeof SIZE_KEYS)[number]> | null;
  layout: string;
  parameters: number;
  bytes: number;
  dtypes: Partial<Record<Dtype, { tensors: number; bytes: number }>>;
  tensors: { name: string; dtype: Dtype; shape: number[] }[];
  /** null where the family is not supported; `problem` says why. */
  coverage: { used: number; missing: string[]; unused: string[] } | null;
  problem: string | null;
  /** What of a multimodal checkpoint is not read, besides its text model. */
  leftOut: string | null;
  unknownConfigKeys: string[];
}

export interface PackageInspection {
  kind: 'package';
  dir: string;
  tool: string;
  options: ConvertOptions;
  graphs: { file: string; operators: Record<string, number> }[];
  schemes: Record<string, { weights: number; bytes: number }>;
  files: { name: string; size: number }[];
  totals: Manifest['totals'];
}

/** A package held to the rules of a device, whichever tool made it. */
export interface LintInspection extends LintReport {
  kind: 'lint';
  dir: string;
}

/** A folder that is neither, and what lies below it. */
export interface FolderInspection {
  kind: 'folder';
  dir: string;
  found: Place[];
}

export type Inspection = CheckpointInspection | PackageInspection | LintInspection | FolderInspection;

const product = (shape: number[]) => shape.reduce((all, each) => all * each, 1);

/** Every weight once: a tied table that is stored as the head too has one set of them. */
function parametersOf(logical: ReadonlyMap<string, LogicalTensor>, isTied: boolean): number {
  const isTwin = (name: string) => isTied && name === ENDS.head && logical.has(ENDS.embedding);
  return [...logical].reduce((sum, [name, { shape }]) => (isTwin(name) ? sum : sum + product(shape)), 0);
}

/** Layer 2 before layer 10. */
const byNumbers = new Intl.Collator('en', { numeric: true });

async function inspectCheckpoint(dir: string): Promise<CheckpointInspection> {
  const checkpoint = openCheckpoint(dir);
  const dtypes: CheckpointInspection['dtypes'] = {};
  for (const { dtype, nbytes } of checkpoint.tensors.values()) {
    dtypes[dtype] ??= { tensors: 0, bytes: 0 };
    const entry = dtypes[dtype];
    entry.tensors += 1;
    entry.bytes += nbytes;
  }
  const { id: layout } = await layoutOf(checkpoint);
  const logical = await logicalTensors(checkpoint);
  const base = {
    kind: 'checkpoint' as const,
    leftOut: checkpoint.leftOut ? leftOutText(checkpoint.leftOut) : null,
    dir,
    model_type: String(checkpoint.config.model_type ?? ''),
    layout,
    parameters: parametersOf(logical, checkpoint.config.tie_word_embeddings === true),
    bytes: [...checkpoint.tensors.values()].reduce((sum, each) => sum + each.nbytes, 0),
    dtypes,
    tensors: [...checkpoint.tensors.values()]
      .map(({ name, dtype, shape }) => ({ name, dtype, shape }))
      .sort((a, b) => byNumbers.compare(a.name, b.name)),
  };
  try {
    const model = await openModel(checkpoint);
    const graphs = Object.values(drawGraphs(model, servedPositions(model.config)));
    const tensors = withTiedTable(logical, model.config.tie_word_embeddings);
    const { used, missing, unused } = coverageOf(model, graphs, tensors);
    return {
      ...base,
      parameters: parametersOf(logical, model.config.tie_word_embeddings),
      sizes: Object.fromEntries(SIZE_KEYS.map((key) => [key, model.config[key]])) as CheckpointInspection['sizes'],
      coverage: { used: used.length, missing, unused },
      problem: null,
      unknownConfigKeys: unreadKeys(checkpoint.config, model.architecture.keys),
    };
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return { ...base, sizes: null, coverage: null, problem: error.message, unknownConfigKeys: [] };
  }
}

function inspectPackage(dir: string): PackageInspection {
  const opened = openPackage(dir);
  if (!opened.manifest) {
    throw new InvalidInputError(
      `${dir}: this package has no ${MANIFEST}; another tool made it.`,
      'give a package that halfbyte convert wrote.',
    );
  }
  const manifest = packageManifestOf(opened.manifest, join(dir, MANIFEST));
  const schemes: PackageInspection['schemes'] = own();
  for (const { scheme, parts } of Object.values(manifest.tensors).flatMap((each) => Object.values(each))) {
    const name = schemeText(scheme);
    schemes[name] ??= { weights: 0, bytes: 0 };
    const entry = schemes[name];
    entry.weights += 1;
    entry.bytes += Object.values(parts).reduce((sum, part) => sum + part.nbytes, 0);
  }
  return {
    kind: 'package',
    dir,
    tool: `${manifest.tool.name} ${manifest.tool.version}`,
    options: manifest.options,
    graphs: manifest.graphs,
    schemes,
    files: manifest.files.map(({ name, size }) => ({ name, size })),
    totals: manifest.totals,
  };
}

/** Says what a checkpoint or a package holds, from headers and manifest alone; with `lint` what a device says of it. */
export async function inspect(dir: string, lint?: string): Promise<Inspection> {
  if (lint !== undefined) return { kind: 'lint', dir, ...(await lintPackage(dir, lint)) };
  if (isPackage(dir)) return inspectPackage(dir);
  const found = placesBelow(dir);
  return found.length > 0 ? { kind: 'folder', dir, found } : inspectCheckpoint(dir);
}

function table(rows: string[][]): string[] {
  const cells = rows.map((row) => row.map(shown));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return cells.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column])).join('  ')}`.trimEnd());
}

/** Tensors that are listed without being asked for. */
const MANY = 200;

/** Kinds of tensor, and names that are missing or unused, that a summary shows. */
const GROUPS = 40;

/** Tensors with the same name but for its numbers, of one type and shape, as one row; the commonest first. */
function groups(tensors: CheckpointInspection['tensors']): string[][] {
  const counts = new Map<string, { row: string[]; count: number }>();
  for (const { name, dtype, shape } of tensors) {
    const row = [name.replace(/(?<=^|\.)\d+(?=\.|$)/g, '*'), dtype, `[${shape.join(', ')}]`];
    const key = row.join('\n');
    const group = counts.get(key) ?? { row, count: 0 };
    group.count += 1;
    counts.set(key, group);
  }
  const sorted = [...counts.values()].sort((a, b) => b.count - a.count);
  const rows = sorted.slice(0, GROUPS).map(({ row, count }) => [...row, `x ${count}`]);
  return sorted.length > GROUPS ? [...rows, [`and ${sorted.length - GROUPS} kinds more`]] : rows;
}

/** An inspection as text for a terminal. */
export function describeInspection(found: Inspection, everyTensor = false): string {
  const lines: string[] = [];
  if (found.kind === 'folder') {
    const rows = found.found.map(({ path, kind }) => [path, kind]);
    return printableLines([`${found.dir}: is no checkpoint and no package, but holds`, ...table(rows)]);
  }
  if (found.kind === 'lint') return `${found.dir}: ${describeLint(found)}`;
  if (found.kind === 'checkpoint') {
    const { coverage } = found;
    lines.push(`${found.dir}: ${found.model_type}, layout ${found.layout}`);
    if (found.sizes) {
      lines.push(
        ...Object.entries(found.sizes)
          .map(([key, value]) => `${key} ${value}`)
          .reduce<string[]>((rows, each, index) => {
            if (index % 4 === 0) rows.push(`  ${each}`);
            else rows[rows.length - 1] += `, ${each}`;
            return rows;
          }, []),
      );
    }
    lines.push(`${formatParameters(found.parameters)}, ${formatBytes(found.bytes)}`);
    lines.push(
      ...Object.entries(found.dtypes).map(
        ([dtype, each]) => `  ${dtype}: ${each.tensors} tensors, ${formatBytes(each.bytes)}`,
      ),
    );
    if (coverage) {
      lines.push(
        `weights: ${coverage.used} used, ${coverage.missing.length} missing, ${coverage.unused.length} unused`,
      );
      for (const what of ['missing', 'unused'] as const) {
        const names = coverage[what];
        const told = everyTensor ? names.length : GROUPS;
        for (const name of names.slice(0, told)) lines.push(`  ${what} ${shown(name)}`);
        if (names.length > told) lines.push(`  and ${names.length - told} ${what} more; --tensors lists them`);
      }
    } else {
      lines.push(`cannot be converted: ${found.problem}`);
    }
    if (found.leftOut !== null) lines.push(found.leftOut);
    if (found.unknownConfigKeys.length > 0)
      lines.push(`config keys not read: ${found.unknownConfigKeys.map(shown).join(', ')}`);
    if (found.tensors.length > MANY && !everyTensor) {
      lines.push(`${found.tensors.length} tensors; --tensors lists them`, ...table(groups(found.tensors)));
      return printableLines(lines);
    }
    const all = table(found.tensors.map(({ name, dtype, shape }) => [name, dtype, `[${shape.join(', ')}]`]));
    return printableLines([...lines, 'tensors', ...all]);
  }
  lines.push(`${found.dir}: package of ${found.tool}, target ${found.options.target}`);
  lines.push(
    `${formatParameters(found.totals.parameters)}, ${formatBytes(found.totals.weightBytes)}, ` +
      `${found.totals.bitsPerWeight.toFixed(2)} bits per weight`,
  );
  for (const { file, operators } of found.graphs) {
    lines.push(
      `${file}: ${Object.entries(operators)
        .map(([op, count]) => `${op} ${count}`)
        .join(', ')}`,
    );
  }
  lines.push(
    'schemes',
    ...table(
      Object.entries(found.schemes).map(([name, each]) => [name, `${each.weights} weights`, formatBytes(each.bytes)]),
    ),
  );
  lines.push('files', ...table(found.files.map(({ name, size }) => [name, formatBytes(size)])));
  return printableLines(lines);
}
