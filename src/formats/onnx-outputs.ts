import { LARGEST, readInput } from './input-file.js';

/** Field numbers of onnx.proto: ModelProto.graph, GraphProto.output, ValueInfoProto.name. */
const [GRAPH, OUTPUT, NAME] = [7, 12, 1];

/**
 * A model file's bytes with values inside its graph as further outputs. Fields of a protobuf message that come again
 * are merged, lists by appending, so that outputs can be added behind a file without reading or writing it anew.
 */
export function modelWithOutputs(
  file: string,
  names: readonly string[],
  /** Changes the file's bytes before outputs are added: a reader that does not merge would lose the graph after it. */
  change: (model: Uint8Array) => Uint8Array = (model) => model,
): Uint8Array {
  const model = readInput(file, LARGEST.graph);
  const outputs = names.map((name) => field(OUTPUT, field(NAME, new TextEncoder().encode(name))));
  return Buffer.concat([change(model), field(GRAPH, Buffer.concat(outputs))]);
}

/** A field whose content has a length in front (wire type 2). */
function field(number: number, content: Uint8Array): Uint8Array {
  return Buffer.concat([varint((number << 3) | 2), varint(content.byteLength), content]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
