import type { Dtype } from './dtype.js';
import type { JsonObject } from './json.js';
import type { MatrixKind } from './matrix-kinds.js';
import type { Packed, PartSize, QuantizationArgs } from './scheme.js';
import type { LogicalTensor, WeightSource } from './weights.js';

/** A matrix of a checkpoint [rows, cols], by its stored name with the ending `.weight`, and what it is to the model. */
export interface NamedMatrix {
  name: string;
  rows: number;
  cols: number;
  /** Undefined where it is none of them, as for biases and for tensors of other than two axes. */
  kind: MatrixKind | undefined;
}

/** A tensor of a dressed checkpoint: a part that `pack` fills, or small constant bytes. */
export interface DressedTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  content: { part: string } | { bytes: number[] };
}

/** How a checkpoint dresses quantized tensors: the writing side of a layout. */
export interface Dressing {
  /** Settings that stand where the command line says nothing; its scheme is the default scheme. */
  defaults: QuantizationArgs;
  /** Throws a UsageError where the layout has no form for `args`. `flag` is the option that asked for them. */
  check(args: QuantizationArgs, flag: string): void;
  /** Whether stored tensors hold every value of codes that are kept; default: of all that `check` lets pass. */
  keeps?(args: QuantizationArgs): boolean;
  /** Type of float tensors that are left alone; undefined keeps each as it is stored. */
  floats?: Dtype;
  /** Whether a matrix is one that engines of this layout expect quantized, by its kind, name and sizes. */
  quantizes(matrix: NamedMatrix, args: QuantizationArgs): boolean;
  /**
   * The module of which engines make a matrix a part, by its path; undefined for none. Matrices of one module are
   * quantized alike. Absent where engines run every matrix by itself.
   */
  fused?(name: string): string | undefined;
  /** Matrices of one key share the scale of their tensors, as q, k and v that an engine fuses; undefined for none. */
  sharedScale?(matrix: Pick<NamedMatrix, 'name'>, args: QuantizationArgs): string | undefined;
  /** Rows that must be packed together, as 8 where zero points of eight rows share a word. */
  rowQuantum(args: QuantizationArgs): number;
  /** Parts of a matrix [rows, cols] as they are stored; exact sizes. Parts shorter than a row quantum end a tensor. */
  parts(rows: number, cols: number, args: QuantizationArgs): Record<string, PartSize>;
  /** Packs the scheme's parts of `rows` rows into the stored ones. */
  pack(packed: Packed, rows: number, cols: number, args: QuantizationArgs, out: Packed): void;
  /** The stored tensors of a matrix, in place of the one that held it. */
  tensors(matrix: NamedMatrix, args: QuantizationArgs): DressedTensor[];
  /** Keys of the written config.json: quantization_config and what else engines expect; null removes a key. */
  config(dressed: DressedCheckpoint): JsonObject;
  /** `__metadata__` of the safetensors files besides `format: pt`. */
  metadata?: Record<string, string>;
  /** How engines quantize activations beside weights of these settings, in the words of `Layout.activations`. */
  activations?(args: QuantizationArgs): string | undefined;
  /** Further small files by name, as quantize_config.json. */
  files?(dressed: DressedCheckpoint): Record<string, string>;
  /** Set where a model is one file of another format than safetensors, which holds its settings and tokenizer too. */
  container?: Container;
}

/** A tensor of a container: what it is made of (`from` names the logical tensors), or values that no tensor stores. */
export interface ContainedTensor {
  name: string;
  shape: number[];
  rows: number;
  cols: number;
  content: { source: WeightSource; from: string[] } | { values: number[] };
}

/** What a container makes of a checkpoint. `config` is complete: a key that a family reads has its value in it. */
export interface Container {
  /** Mixes of schemes by name and the scheme of most of their matrices, as q4_k for q4_k_m. */
  mixes: Record<string, string>;
  /**
   * The tensors in the order of the file, the architecture that its header names, and what engines pass over. Throws
   * InvalidInputError for a model that has no form in it.
   */
  tensors(
    config: JsonObject,
    logical: ReadonlyMap<string, LogicalTensor>,
  ): { tensors: ContainedTensor[]; arch: string; notes: string[] };
  /** The scheme of a tensor where `wanted`, a scheme or a mix, is asked for. */
  schemeOf(tensor: ContainedTensor, wanted: string, config: JsonObject): string;
  /** A scheme that the columns of a tensor allow in place of one that is asked for by name. */
  fitting(scheme: string, tensor: ContainedTensor): string;
  /** The number by which the file says what it mostly holds. */
  fileType(wanted: string): number;
}

/** What a written checkpoint holds, for its quantization_config. */
export interface DressedCheckpoint {
  /** config.json of the input without its quantization_config. */
  config: JsonObject;
  /** Settings of most matrices. */
  args: QuantizationArgs;
  /** Matrices that have other settings than `args`. */
  exceptions: { matrix: NamedMatrix; args: QuantizationArgs }[];
  quantized: NamedMatrix[];
  /** Matrices of two dimensions that are left alone. */
  alone: NamedMatrix[];
}
