import { formatBytes } from '../core/bytes.js';
import type { Checkpoint } from '../core/checkpoint.js';
import { InvalidInputError } from '../core/errors.js';
import type { Weight } from '../core/graph.js';
import { type MatrixKind, matrixKind } from '../core/matrix-kinds.js';
import { checkpointSource, leavesOf } from '../core/weight-source.js';
import type { LogicalTensor } from '../core/weights.js';
import { storedBytes } from '../engine/units.js';
import { checkCoverage, checkShape, isZeroBias } from '../model/coverage.js';
import { withTiedTable } from '../model/logical-tensors.js';
import { drawGraphs, openModel } from '../model/model.js';
import { ids } from '../registry.js';
import { resolveSource } from '../sources/resolve.js';

/** A tensor of a checkpoint and what it is to the model; undefined for vectors and for what is no matrix of two axes. */
export interface ModelTensor {
  tensor: LogicalTensor;
  kind: MatrixKind | undefined;
}

/**
 * The tensors of a checkpoint that make up its model. Of a family that is drawn the drawing says which there must be, how
 * large they are and what each is; anything else is refused, unless `goByNames` lets names speak for a model
 * that is not drawn. `note` then hears what they say. Throws InvalidInputError.
 */
export async function modelTensors(
  checkpoint: Checkpoint,
  logical: ReadonlyMap<string, LogicalTensor>,
  goByNames: boolean,
  note: (text: string) => void,
): Promise<ModelTensor[]> {
  refuseEmpty(logical);
  const { model_type: family } = checkpoint.config;
  if (typeof family === 'string' && ids('architectures').includes(family))
    return drawnTensors(checkpoint, logical, note);
  if (!goByNames) {
    throw new InvalidInputError(
      `config.json: model_type ${JSON.stringify(family ?? null)} is no family that halfbyte draws (${ids('architectures').join(', ')}): ` +
        'it does not know which of the tensors are matrices of linear layers, nor whether all are there.',
      '--unknown-architecture goes by the names of the tensors and says what it takes for a matrix.',
    );
  }
  const tensors = namedTensors(logical);
  note(takenByName(tensors));
  return tensors;
}

/** What the drawing of a family says of its tensors. */
async function drawnTensors(
  checkpoint: Checkpoint,
  stored: ReadonlyMap<string, LogicalTensor>,
  note: (text: string) => void,
): Promise<ModelTensor[]> {
  const model = await openModel(checkpoint, note);
  const logical = withTiedTable(stored, model.config.tie_word_embeddings);
  const graphs = Object.values(drawGraphs(model, 1));
  checkCoverage(model, graphs, logical, note);
  const kinds = new Map<string, MatrixKind | undefined>();
  for (const [weight, graph] of graphs.flatMap((graph) =>
    Object.values(graph.weights).map((each) => [each, graph] as const),
  )) {
    const source = checkpointSource(weight, graph.weights);
    checkShape(
      weight,
      resolveSource(source, (name) => logical.get(name)),
      logical,
    );
    for (const name of leavesOf(source)) {
      // a tied table is a head too
      if (kinds.get(name) !== 'embedding') kinds.set(name, kindOf(weight, logical.get(name)));
    }
  }
  return [...logical.values()]
    .filter(({ name }) => kinds.has(name) || !isZeroBias(name, logical))
    .map((tensor) => ({ tensor, kind: kinds.has(tensor.name) ? kinds.get(tensor.name) : kindByName(tensor) }));
}

function kindOf({ role }: Weight, tensor: LogicalTensor | undefined): MatrixKind | undefined {
  if (tensor?.shape.length !== 2) return undefined;
  if (role === 'embedding' || role === 'lm_head') return role;
  return role === 'matrix' ? 'linear' : 'router';
}

const kindByName = ({ name, shape }: LogicalTensor) => (shape.length === 2 ? matrixKind(name) : undefined);

/** Tensors by their names alone, and by what their biases say of them. */
function namedTensors(logical: ReadonlyMap<string, LogicalTensor>): ModelTensor[] {
  const biasOf = ({ name }: LogicalTensor) => logical.get(name.replace(/\.weight$/, '.bias'))?.shape[0];
  const isMatrix = (tensor: LogicalTensor) => kindByName(tensor) === 'linear';
  // a bias has an entry for each output
  const isTransposed = (tensor: LogicalTensor) => {
    const [rows, cols] = tensor.shape;
    return isMatrix(tensor) && rows !== cols && biasOf(tensor) === cols;
  };
  const hasTransposed = [...logical.values()].some(isTransposed);
  return [...logical.values()].map((tensor) => {
    const { shape } = tensor;
    const isUnclear = hasTransposed && isMatrix(tensor) && shape[0] === shape[1] && biasOf(tensor) === shape[1];
    const isLinear = !isUnclear && !isTransposed(tensor);
    return { tensor, kind: isLinear ? kindByName(tensor) : 'transposed' };
  });
}

const KIND_TEXTS: Record<MatrixKind, string> = {
  linear: 'matrices of linear layers',
  embedding: 'embeddings',
  lm_head: 'heads',
  router: 'routers',
  table: 'tables of positions, types or layers',
  transposed: 'matrices stored [in, out]',
};

/** Which tensors were taken for what, each kind with its bytes. */
function takenByName(tensors: ModelTensor[]): string {
  const groups = new Map<string, LogicalTensor[]>();
  for (const { tensor, kind } of tensors) {
    const what = kind
      ? KIND_TEXTS[kind]
      : tensor.shape.length > 2
        ? 'tensors of three axes and more'
        : 'vectors and others';
    groups.set(what, [...(groups.get(what) ?? []), tensor]);
  }
  const describe = ([what, members]: [string, LogicalTensor[]]) => {
    const nbytes = members.reduce((sum, { source }) => sum + storedBytes(source), 0);
    return `${what}: ${members.length} of ${formatBytes(nbytes)}, as "${members[0].name}"`;
  };
  const isTaken = ([what]: [string, LogicalTensor[]]) => what === KIND_TEXTS.linear;
  const [taken, left] = [[...groups].filter(isTaken), [...groups].filter((each) => !isTaken(each))];
  return (
    `this family is not drawn, names alone were gone by. Taken for ${taken.map(describe).join('') || 'matrices of linear layers: none'}; ` +
    `not taken for them: ${left.map(describe).join('; ') || 'nothing'}.`
  );
}

/** A tensor without elements stands for one that another process held when a checkpoint was saved. */
function refuseEmpty(logical: ReadonlyMap<string, LogicalTensor>): void {
  const empty = [...logical.values()].filter(({ shape }) => shape.includes(0));
  if (empty.length === 0) return;
  const [{ name, shape }] = empty;
  throw new InvalidInputError(
    `tensor "${name}" is [${shape.join(', ')}], without an element${empty.length > 1 ? `, and so are ${empty.length - 1} more` : ''}: ` +
      'the checkpoint was saved while its weights were spread over processes.',
    'gather the weights before they are saved, or download the checkpoint again.',
  );
}
