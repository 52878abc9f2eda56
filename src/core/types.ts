/** The nouns of halfbyte: every interface that crosses a folder border. Plain data throughout: all of it survives JSON. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

// ---------------------------------------------------------------- checkpoints

/** Dtypes of the safetensors format, in the order of its enum (the writer sorts by it, descending). */
export const SAFETENSORS_DTYPES = [
  'BOOL',
  'F4',
  'F6_E2M3',
  'F6_E3M2',
  'U8',
  'I8',
  'F8_E5M2',
  'F8_E4M3',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
  'I16',
  'U16',
  'F16',
  'BF16',
  'I32',
  'U32',
  'F32',
  'C64',
  'F64',
  'I64',
  'U64',
] as const;
export type Dtype = (typeof SAFETENSORS_DTYPES)[number];

/** Where a stored tensor's bytes are, never the bytes. `offset` counts from the start of `file` (an absolute path). */
export interface TensorRef {
  name: string;
  dtype: Dtype;
  shape: number[];
  file: string;
  offset: number;
  nbytes: number;
}

/** An input file of a checkpoint: its name inside the directory, its size, SHA-256 of its safetensors header. */
export interface CheckpointFile {
  name: string;
  size: number;
  headerSha256: string;
}

/** A Hugging Face checkpoint directory, read from headers alone. `tensors` holds what is stored, by stored name. */
export interface Checkpoint {
  dir: string;
  config: JsonObject;
  generationConfig: JsonObject;
  tensors: ReadonlyMap<string, TensorRef>;
  files: CheckpointFile[];
  /** Tokenizer and other small files that a package takes over unchanged, names inside `dir`. */
  companions: string[];
}

// ---------------------------------------------------------------- weights

/**
 * How a weight comes out of the checkpoint: a logical tensor's name, or a form that streams by rows.
 * Every source is a matrix [rows, cols] (a tensor [a, b, c] counts as [a*b, c], a vector [n] as [1, n]).
 */
export type WeightSource =
  | string
  | { rows: WeightSource; from: number; to: number; stride?: number; count?: number }
  | { concat: WeightSource[] }
  | { interleaveRows: WeightSource[] }
  | { permuteRows: WeightSource; order: number[] }
  | { transpose: WeightSource }
  | { plus: WeightSource; constant: number }
  | { tied: string }
  | { rotary: RotaryTable };
// `rows` takes rows [from, to); with stride and count it takes `count` such blocks, each `stride` rows after the last.

/**
 * A table of cosines or sines, one row a position: row p is f(p * inverse_frequencies) * attention_factor,
 * computed in float32 as transformers does (modeling_rope_utils.py).
 */
export interface RotaryTable {
  inverse_frequencies: number[];
  attention_factor: number;
  positions: number;
  part: 'cos' | 'sin';
}

/**
 * A WeightSource with every name resolved to bytes and every size known: what a job carries to a worker.
 * `tensor` is a stored float tensor; `packed` is one that a layout decodes from several stored tensors;
 * `scheme` is one that a scheme decodes from parts of a package.
 */
export type RowSource = { rows: number; cols: number } & (
  | { kind: 'tensor'; ref: TensorRef }
  | { kind: 'packed'; layout: string; parts: Record<string, TensorRef>; parameters: JsonObject; name: string }
  | { kind: 'scheme'; scheme: QuantizationArgs; parts: Record<string, FileRange>; name: string }
  | { kind: 'rowBlocks'; source: RowSource; from: number; blockRows: number; stride: number }
  | { kind: 'concat'; sources: RowSource[] }
  | { kind: 'interleave'; sources: RowSource[] }
  | { kind: 'permute'; source: RowSource; order: number[] }
  | { kind: 'transpose'; source: RowSource }
  | { kind: 'plus'; source: RowSource; constant: number }
  | { kind: 'rotary'; table: RotaryTable }
);

/** A logical float tensor of a checkpoint: stored as it is, or dressed by a layout. */
export type LogicalTensor = { name: string; shape: number[]; source: RowSource };

export interface FileRange {
  file: string;
  offset: number;
  nbytes: number;
}

// ---------------------------------------------------------------- schemes

export type QuantizationStrategy = 'tensor' | 'channel' | 'group' | 'block';
export type QuantizationAlgorithm = 'rtn' | 'mse' | 'kquant' | 'hqq';

/** A scheme with its settings, in compressed-tensors' vocabulary. `scheme` is the id of a file in `schemes/`. */
export interface QuantizationArgs {
  scheme: string;
  strategy: QuantizationStrategy;
  /** Columns that share a scale, for strategy `group`. */
  group_size?: number;
  /** Rows and columns that share a scale, for strategy `block`. */
  block_structure?: [number, number];
  symmetric: boolean;
  /**
   * Codes stored as two's complement (ONNX INT4, INT8), with zero points likewise, rather than offset by 2^(bits-1)
   * (the unsigned bytes of MatMulNBits). Default: unsigned.
   */
  signed?: boolean;
  /** Type of the stored scales. */
  scale_dtype: 'F32' | 'F16' | 'BF16' | 'F8_E8M0' | 'F8_E4M3';
  algorithm: QuantizationAlgorithm;
  /**
   * Greatest magnitude of the whole tensor, or of all tensors that share its scale, where a scheme has one scale for
   * them and a first pass has found it: rows can then be quantized one by one.
   */
  amax?: number;
}

/** Bytes of one part of some rows, as they are written. */
export interface PartSize {
  nbytes: number;
  /** Set where the part is [segments, rows, ...] instead of [rows, ...]: some rows are a piece of every segment. */
  segments?: number;
  /** Set where the bytes are the same for any rows, as one scale for the tensor: they are written once. */
  fixed?: boolean;
}

/** One output of a scheme. */
export interface PartLayout extends PartSize {
  dtype: ElementType;
  shape: number[];
}

/** Bytes of each part (`codes`, `scales`, `zero_points`, for float schemes only `codes`) of some rows. */
export type Packed = Record<string, Uint8Array>;

/** A number format: sizes from shapes, floats to bytes, bytes to floats. The plain TypeScript twin of its kernel. */
export interface Scheme {
  numBits: number;
  type: 'int' | 'float';
  /** Settings that stand where the command line says nothing; every combination offered must be listed by `check`. */
  defaults: QuantizationArgs;
  /** Throws a UsageError where `args` ask for what the scheme does not have. */
  check(args: QuantizationArgs): void;
  /** Rows that must be quantized together: 1 a row at a time, 128 for blocks of 128 rows, Infinity for a whole tensor. */
  rowQuantum(args: QuantizationArgs): number;
  /** Parts of a matrix [rows, cols]; sizes are exact, so that offsets are final before a weight byte is read. */
  layout(rows: number, cols: number, args: QuantizationArgs): Record<string, PartLayout>;
  /**
   * Quantizes whole rows: `values` is [rows, cols] float32, `out` has for each part of `layout(rows, cols, args)`
   * a view of exactly `nbytes`. Throws NonFiniteWeight at the first NaN or infinity.
   */
  quantize(values: Float32Array, cols: number, args: QuantizationArgs, out: Packed): void;
  /** The exact values that the codes stand for, float32 [rows, cols]. */
  dequantize(packed: Packed, rows: number, cols: number, args: QuantizationArgs, out: Float32Array): void;
}

/** Thrown by schemes and kernels; the engine adds tensor and file and makes it an InvalidInputError. */
export class NonFiniteWeight extends Error {
  constructor(
    readonly row: number,
    readonly column: number,
    readonly value: number,
  ) {
    super(`${value} at row ${row}, column ${column}`);
  }
}

// ---------------------------------------------------------------- graphs

/** Element types of ONNX values, spelled as in onnx.proto's TensorProto.DataType. */
export type ElementType =
  | 'FLOAT'
  | 'UINT8'
  | 'INT8'
  | 'UINT16'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'BOOL'
  | 'FLOAT16'
  | 'BFLOAT16'
  | 'FLOAT8E4M3FN'
  | 'FLOAT8E5M2'
  | 'UINT4'
  | 'INT4'
  | 'FLOAT4E2M1'
  | 'FLOAT8E8M0';

/** A dimension: a number, or the name of a symbolic one. */
export type Dim = number | string;

export interface ValueInfo {
  name: string;
  dtype: ElementType;
  shape: Dim[];
}

/** Integers are numbers without a fraction; `{ float: x }` marks a float attribute whatever its value. */
export type Attribute = number | string | number[] | { float: number } | { floats: number[] };

/**
 * One operator. Domain '' is ai.onnx, 'com.microsoft' the contrib operators, 'halfbyte' the semantic operators of
 * `graph/operators.ts`, which the reference engine evaluates and the targets' passes lower. '' omits an input or output.
 */
export interface GraphNode {
  name: string;
  op: string;
  domain: '' | 'com.microsoft' | 'halfbyte';
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
}

/**
 * A constant of the graph. `values` are small numbers written into the model, all of them or one for every element;
 * `weight` and `part` name one part of a packed weight, whose bytes go to the data file.
 */
export interface Initializer {
  name: string;
  dtype: ElementType;
  shape: number[];
  content: { values: number[] } | { weight: string; part: string };
}

/** Role of a weight, which decides the scheme that it gets: see `--weights`, `--embeddings`, `--lm-head`. */
export type WeightRole = 'embedding' | 'lm_head' | 'matrix' | 'float';

/** A weight of the graph by name: where it comes from, its logical shape, and, once assigned, its scheme. */
export interface Weight {
  name: string;
  source: WeightSource;
  shape: number[];
  role: WeightRole;
  scheme?: QuantizationArgs;
}

/** Nodes and names, never bytes. Nodes stand in an order in which each follows its inputs. */
export interface Graph {
  name: string;
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  nodes: GraphNode[];
  initializers: Initializer[];
  /** Weights that semantic nodes name as inputs and initializers take parts of. */
  weights: Record<string, Weight>;
  /** Known types and shapes of values in between, by name. */
  values: Record<string, ValueInfo>;
  /** Values after the embedding, after each layer and after the final norm: what transformers calls hidden_states. */
  hiddenStates: string[];
  /** Opset version per domain, empty until lowered. */
  opsets: Record<string, number>;
  /** What a pass decided where a target offers more than one form, for the manifest. */
  notes?: string[];
  /** Calibrated ranges of values and of small weights, by name; passes that rename or derive values keep them true. */
  ranges?: Record<string, ValueRange>;
}

/** The least and the greatest value that something takes. */
export interface ValueRange {
  min: number;
  max: number;
}

export type Pass = (graph: Graph) => Graph;

// ---------------------------------------------------------------- registries

/** What every architecture's parsed config has, whatever else it adds. Names are Hugging Face's. */
export interface DecoderConfig {
  model_type: string;
  vocab_size: number;
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  max_position_embeddings: number;
  tie_word_embeddings: boolean;
}

/**
 * Config keys of an architecture: those that it reads, those known to change nothing here, and those known to matter
 * but unsupported, each with the values at which it is neutral. Any other key is listed by `inspect`.
 */
export interface ConfigKeys {
  read: string[];
  inert: string[];
  unsupported: Record<string, Json[]>;
}

export interface ArchitectureOptions {
  /** Positions that the package serves; rotary tables are that long. */
  contextLength: number;
}

/** A model family: one file that reads like the paper. It knows neither its quantization nor its device. */
export interface Architecture<C extends DecoderConfig = DecoderConfig> {
  keys: ConfigKeys;
  /** Reads a config.json; throws InvalidInputError that names the key. */
  parseConfig(config: JsonObject): C;
  /**
   * The config of a checkpoint that lacks a whole part which its config.json names, and what to say of it; undefined
   * where all is there. `stores` tells whether any tensor has a name that starts so.
   */
  withoutMissingPart?(config: C, stores: (prefix: string) => boolean): { config: C; note: string } | undefined;
  /** Every weight that the graphs use, by its name in the graph; names are the checkpoint's where the two coincide. */
  weights(config: C, options: ArchitectureOptions): Record<string, WeightSource>;
  /** Draws the graph: input_ids [batch_size, sequence_length] to logits, semantic operators only. */
  build(config: C, options: ArchitectureOptions): Graph;
  /** Further graphs of the checkpoint by package name, as `mtp` for multi-token prediction. */
  extraGraphs?(config: C, options: ArchitectureOptions): Record<string, Graph>;
  /** Stored tensors (globs) that a checkpoint of this family may hold and that no graph needs, as rotary buffers. */
  ignored?: string[];
  /** A small config of the family, for tests over the registry. */
  example: JsonObject;
}

/** Log sum exp of two rows of logits, which a vocabulary of 150,000 makes dear. */
export interface LogTotals {
  reference: number;
  actual: number;
}

/**
 * One number that compares a reference and an actual run: logits [positions, vocabulary], or weights [rows, cols],
 * row-major float32.
 */
export interface Metric {
  unit: string;
  better: 'lower' | 'higher';
  /** What it compares: logits, logits against the ids that follow them (`targets`), or weights. */
  over: 'logits' | 'targets' | 'weights';
  /** `targets` holds the id that follows each position, -1 where none does; needed if `over` says so. */
  measure(reference: Float32Array, actual: Float32Array, vocabulary: number, targets?: ArrayLike<number>): number;
  /**
   * The value at one position from its two rows of logits, for streams, plots and bootstrap; metrics that share the
   * function share its values. `totals` are log sum exp of both rows, where the caller has them for several metrics.
   * `summary` makes the metric of all positions' values. Absent for weights.
   */
  position?(reference: Float32Array, actual: Float32Array, target: number, totals?: LogTotals): number;
  summary?(values: Float64Array): number;
}

/**
 * How a checkpoint dresses quantized tensors (names, packing, quantization_config): the reading side.
 * `plain` is the layout of a checkpoint without a quantization_config.
 */
export interface Layout {
  /** Whether a checkpoint with this config.json wears this layout. */
  matches(config: JsonObject): boolean;
  /** The logical float tensors behind the stored ones, by the names that architectures use. Throws InvalidInputError. */
  undress(
    tensors: ReadonlyMap<string, TensorRef>,
    config: JsonObject,
    values: StoredValues,
  ): Map<string, LogicalTensor>;
  /** Rows that decode together: row ranges asked of `needs` start and end on multiples of it (or at the last row). */
  rowQuantum(source: PackedSource): number;
  /** The byte ranges of each part, in the order in which `decode` gets them concatenated, for rows [from, from + count). */
  needs(source: PackedSource, from: number, count: number): Record<string, FileRange[]>;
  /** Exact float32 values [count, cols] of these rows. */
  decode(source: PackedSource, from: number, count: number, bytes: Packed, out: Float32Array): void;
  /**
   * The scheme on whose grid a tensor's codes stand, scales in the type in which they are stored; undefined where no
   * scheme has that grid, so that another one must round again.
   */
  grid?(source: PackedSource): QuantizationArgs | undefined;
  /** The scheme as whose parts `unpack` gives the rows where they are only read; default: that of `grid`. */
  readAs?(source: PackedSource): QuantizationArgs | undefined;
  /**
   * The parts of `args` for these rows, every code and scale kept. `args` is the tensor's grid but for the type of
   * scales, which holds them exactly, and for zero points, which may be asked for where the grid is symmetric.
   */
  unpack?(source: PackedSource, from: number, count: number, bytes: Packed, args: QuantizationArgs, out: Packed): void;
  /** The writing side, of layouts that have one. */
  dressing?: Dressing;
}
/** What headers do not tell a layout. */
export interface StoredValues {
  /** The bytes of a small tensor that decides what others mean, as group indices and zero points. */
  read(ref: TensorRef): Uint8Array;
  /** Says what values show that config.json does not say, as zero points that are not what it calls them. */
  note(text: string): void;
}

export type PackedSource = Extract<RowSource, { kind: 'packed' }>;

/** A matrix of a checkpoint [rows, cols], by its stored name with the ending `.weight`. */
export interface NamedMatrix {
  name: string;
  rows: number;
  cols: number;
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
  /** Whether a matrix is one that engines of this layout expect quantized, by its name and sizes. */
  quantizes(matrix: NamedMatrix, args: QuantizationArgs): boolean;
  /** Matrices of one key share the scale of their tensors, as q, k and v that an engine fuses; undefined for none. */
  sharedScale?(matrix: NamedMatrix, args: QuantizationArgs): string | undefined;
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

/** Settings of a conversion, complete: what the command line says and the defaults of the target. */
export interface ConvertOptions {
  target: string;
  /** Scheme of each role. `float` (norms, biases, routers, rotary tables) is always f32. */
  weights: QuantizationArgs;
  embeddings: QuantizationArgs;
  lmHead: QuantizationArgs;
  /** Globs on weight names: which get `weights` at all, which stay f32, and which get another scheme. */
  only: string[];
  skip: string[];
  overrides: { pattern: string; scheme: QuantizationArgs }[];
  /** accuracy_level of MatMulNBits: 0 unset, 1 float32, 4 int8 activations. */
  accuracyLevel: number;
  contextLength: number;
  /** Tokens of a prompt window on an NPU. */
  prefill: number;
  activations: 'uint16' | 'f16' | 'f32';
  attention: 'npu' | 'gqa';
  mla: 'latent' | 'expanded';
  /** `auto`: QMoE where the groups divide the experts' sizes, else plain operators. */
  experts: 'auto' | 'qmoe' | 'plain';
}

/** One graph of a package: its file, its data file, and the passes that turn the drawn graph into it. */
export interface TargetStage {
  file: string;
  dataFile: string;
  passes: Pass[];
  /** Set where the package is a pipeline of graphs. */
  pipeline?: PipelineSettings;
}

/** How ONNX Runtime GenAI runs a graph of a pipeline; left out is what its reader takes as default. */
export interface PipelineSettings {
  name: string;
  run_on_prompt?: boolean;
  run_on_token_gen?: boolean;
  is_lm_head?: boolean;
  session_options?: JsonObject;
}

/** Something that a device would refuse, run elsewhere or get wrong. */
export interface Finding {
  rule: string;
  severity: 'error' | 'warning' | 'note';
  /** File of the package, and the node in it where the finding has one. */
  file: string;
  node: string | null;
  message: string;
  advice: string;
  /** Where the rule comes from. */
  source: string;
}

/** A graph under inspection for a device: one that was planned, or one read from a file. */
export interface LintedGraph {
  file: string;
  graph: Graph;
  /** Where the bytes of external initializers are, by their name. */
  external: Record<string, FileRange>;
  /** Whether a device's own provider is asked to run it; the others stay on the CPU. */
  onDevice: boolean;
}

/** A package under inspection for a device. */
export interface LintedPackage {
  graphs: LintedGraph[];
  /** genai_config.json; null where there is none. */
  genai: JsonObject | null;
  /** Sizes of data files by name inside the package. */
  files: Record<string, number>;
}

/** What calibration learnt from running a model on text. Plain data, kept in a file of its own. */
export interface Calibration {
  origin: CalibrationOrigin;
  /** By name of the drawn graph's value, by `<attention>/scores` and `<linear>/product` for values that only lowered graphs have, or by weight name. */
  ranges: Record<string, ValueRange & { percentiles: number[] }>;
  /** Mean of the squares of each input channel of a matrix, by weight name. */
  second_moments: Record<string, Float32Array>;
}

/** The text behind a calibration: nothing of it depends on a path. */
export interface CalibrationOrigin {
  text: 'given text' | 'given ids' | 'bundled text' | 'pseudo-random ids';
  tokens: number;
  /** SHA-256 of the token ids as int32, sequence after sequence. */
  ids_sha256: string;
}

/** A device: which operators and schemes it runs, and by which ordered passes a drawn graph becomes its graphs. */
export interface Target {
  /** Settings that stand where the command line says nothing. */
  defaults: Partial<ConvertOptions>;
  /** Opset version by domain ('' is ai.onnx). */
  opsets: Record<string, number>;
  /** Operators that the device runs, as `MatMul` or `com.microsoft.MatMulNBits`. */
  operators: ReadonlySet<string>;
  /** Throws a UsageError where settings do not fit the device. */
  check(options: ConvertOptions): void;
  /** Positions to serve where the command line does not say; default: all that the model has. */
  contextLength?(modelLimit: number, prefill: number): number;
  /**
   * The stages of a package whose drawn graphs are `names` (`decoder`, and those of `extraGraphs`). `ranges` are
   * those of a calibration, by names of the drawn graph; without them integer activations get placeholders.
   */
  stages(options: ConvertOptions, drawn: string, ranges?: Record<string, ValueRange>): TargetStage[];
  /** What the device would refuse, run elsewhere or get wrong in a package's graphs. */
  lint?(subject: LintedPackage): Finding[];
}

// ---------------------------------------------------------------- plans

/** Part of a plan: one source goes through one scheme into byte ranges of package files. Plain data. */
export interface Job {
  /** The weight's name in the graph. */
  name: string;
  source: RowSource;
  scheme: QuantizationArgs;
  /** Layout that packs the scheme's parts; its parts are the outputs then. */
  layout?: string;
  /** The source's codes and scales stand on the scheme's grid already and are kept; it is of kind `packed`. */
  keepCodes?: boolean;
  /** What rounding takes from the weights is measured on the way. */
  measured?: boolean;
  /** Part name to where it goes: `file` is a name inside the package. */
  outputs: Record<string, FileRange>;
}

/** A data file of the package whose bytes come from jobs; its size is final. */
export interface PlannedFile {
  name: string;
  nbytes: number;
}

/** A lowered graph and where the bytes of each of its weight initializers will be, by initializer name. */
export interface PlannedGraph {
  file: string;
  graph: Graph;
  external: Record<string, FileRange>;
  pipeline?: PipelineSettings;
}

export interface PlanTotals {
  parameters: number;
  weightBytes: number;
  sourceBytes: number;
  bitsPerWeight: number;
}

/** Bytes of a data file that no job makes, as the header of a safetensors file. */
export interface Inlay {
  file: string;
  offset: number;
  base64: string;
}

/** What the engine executes: everything is known before a weight byte is read. */
export interface WritePlan {
  options: ConvertOptions | QuantizeOptions;
  checkpoint: { dir: string; files: CheckpointFile[]; config: JsonObject };
  files: PlannedFile[];
  jobs: Job[];
  inlays?: Inlay[];
  /** Small text files written as they stand. */
  texts: { name: string; content: string }[];
  /** Files copied unchanged from the checkpoint. */
  copies: string[];
  totals: PlanTotals;
}

/** The plan of a package. */
export interface Plan extends WritePlan {
  options: ConvertOptions;
  /** Graph files by name inside the package. */
  graphs: PlannedGraph[];
  /** What the ranges of integer activations come from. */
  calibration?: CalibrationOrigin;
  /** Keys of config.json that the architecture neither reads nor knows to be harmless. */
  unreadConfigKeys: string[];
}

/** Settings of `quantize`, complete. */
export interface QuantizeOptions {
  layout: string;
  args: QuantizationArgs;
  only: string[];
  skip: string[];
  overrides: { pattern: string; scheme: QuantizationArgs }[];
  /** More bits for the first and last eighth of the layers, v_proj and down_proj. */
  mixed: QuantizationArgs | null;
  /** A mix that the layout has by name, as q4_k_m; `args` is its scheme of most matrices. */
  mix?: string;
  /** Bytes of tensors in a file, unless one tensor is larger; null for one file. */
  maxShardBytes: number | null;
}

/** The plan of a dressed checkpoint. */
export interface QuantizePlan extends WritePlan {
  options: QuantizeOptions;
  /** What becomes of each logical tensor. */
  tensors: PlannedTensor[];
}

/** What becomes of a tensor: `keeps` codes of another layout, `rounds` to a grid, or goes `unquantized`. */
export interface PlannedTensor {
  name: string;
  shape: number[];
  scheme: QuantizationArgs;
  fate: 'keeps' | 'rounds' | 'unquantized';
  nbytes: number;
}

/**
 * Progress of long work, told as it happens; commands show it, `--json` and `--quiet` drop it. `unit` says what is
 * counted where it is not bytes.
 */
export type ProgressListener = (progress: {
  stage: string;
  done: number;
  total: number;
  unit?: string;
  label: string;
}) => void;

// ---------------------------------------------------------------- kernels

/**
 * Decodes `rows` rows from row `first` on of parts at these addresses, which hold whole rows of blocks, into float32
 * [rows, cols] at `to`, a multiple of 4.
 */
export type DecodeRows = (parts: Record<string, number>, first: number, rows: number, to: number) => void;

/**
 * Adds to error sums what the float32 at `decoded` are off the `rows` rows at `from` for which they stand; `first` is the
 * number of the first of them in its tensor.
 */
export type AddErrors = (from: number, rows: number, decoded: number, first: number) => void;

/** Counts weights of the `rows` rows at `from` beyond the ends of the grids that these parts' first rows are codes of. */
export type AddSaturated = (from: number, rows: number, parts: Record<string, number>) => void;

/**
 * The wasm kernels over one linear memory: a worker reads into it, computes in it and writes from it. Addresses are
 * byte offsets into the memory, multiples of 16. Every kernel equals its plain TypeScript twin bit for bit.
 */
export interface Kernels {
  /** First byte that belongs to the caller. */
  readonly heapBase: number;
  /** Makes sure that `nbytes` from heapBase on exist. Views taken before are stale after it. */
  reserve(nbytes: number): void;
  /** A view of `nbytes` of the memory at `address`. */
  bytes(address: number, nbytes: number): Uint8Array;
  /** Converts `count` stored floats (BF16, F16, F32, F64, F8_E4M3, F8_E5M2, ...) at `from` to float32 at `to`. */
  widen(dtype: Dtype, from: number, count: number, to: number): void;
  /** Whether `quantize` has a kernel for this stored dtype and these settings; otherwise widen and use the twin. */
  supports(dtype: Dtype, args: QuantizationArgs): boolean;
  /** Quantizes whole rows at `from` into the parts at the addresses `out`. Throws NonFiniteWeight. */
  quantize(
    dtype: Dtype,
    from: number,
    rows: number,
    cols: number,
    args: QuantizationArgs,
    out: Record<string, number>,
  ): void;
  /** Whether `openDecoder` has a kernel for these settings; otherwise use the twin. */
  dequantizes(args: QuantizationArgs): boolean;
  openDecoder(args: QuantizationArgs, cols: number): DecodeRows;
  /**
   * Sums at the address `state` (core/error-sums.ts) of rows of `cols` columns stored as F32, F16 or BF16; those whose
   * number `stride` divides go into the histogram.
   */
  openErrors(dtype: Dtype, cols: number, stride: number, state: number): AddErrors;
  openSaturated(dtype: Dtype, cols: number, args: QuantizationArgs, state: number): AddSaturated;
  /**
   * For each `group` columns of each row, three float32 at `to`: the least and the greatest of 0 and the float32 at
   * `reference`, and the greatest magnitude of what those at `actual` are off them, NaN where one is.
   */
  groupRanges(reference: number, actual: number, rows: number, cols: number, group: number, to: number): void;
  /**
   * Rows [from, from + rows) of a rotary table into float32 at `out`; `count` float32 frequencies lie at `frequencies`.
   * For angles below 2^20.
   */
  rotary(
    frequencies: number,
    count: number,
    from: number,
    rows: number,
    factor: number,
    part: RotaryTable['part'],
    out: number,
  ): void;
  /** XXH64 with seed 0 of bytes in this memory, given in pieces; `state` is the address of 80 bytes. */
  startDigest(state: number): void;
  updateDigest(state: number, from: number, nbytes: number): void;
  finishDigest(state: number): bigint;
}
