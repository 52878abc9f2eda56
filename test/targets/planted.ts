import type { Graph, GraphNode, Initializer } from '../../src/core/graph.js';
import type { JsonObject } from '../../src/core/json.js';
import type { Finding, LintedPackage } from '../../src/core/lint.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { find } from '../../src/registry.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { plannedPackage } from '../../src/stages/lint.js';
import { plan } from '../../src/stages/plan.js';
import { fixture } from '../reference/fixtures.js';

const plans = new Map<string, Promise<LintedPackage>>();

/** The graphs of a conversion as rules see them: planned once, a copy for each caller, free to be damaged. */
export async function planned(name: string, request: ConvertRequest): Promise<LintedPackage> {
  const key = JSON.stringify([name, request]);
  const known = plans.get(key) ?? plan(openCheckpoint(fixture(name)), request).then(plannedPackage);
  plans.set(key, known);
  return structuredClone(await known);
}

const sound = new Map<string, Promise<string[]>>();

/** Rules with findings in a package that is as the target makes it. */
export function soundRules(name: string, device: string): Promise<string[]> {
  const known =
    sound.get(device) ??
    planned(name, { target: device }).then(async (subject) => (await lint(device, subject)).map(({ rule }) => rule));
  sound.set(device, known);
  return known;
}

export async function lint(target: string, subject: LintedPackage): Promise<Finding[]> {
  return (await find('targets', target))!.lint!(subject);
}

/** The means to damage a package. Everything is found by name and throws where it is not there. */
export class Saboteur {
  constructor(readonly subject: LintedPackage) {}

  graph(file = 'context.onnx'): Graph {
    const found = this.subject.graphs.find((each) => each.file === file);
    if (!found) throw new Error(`no graph ${file}`);
    return found.graph;
  }

  /** The first node of an operator, or the one whose name holds `part`. */
  node(op: string, part = '', file?: string): GraphNode {
    const found = this.graph(file).nodes.find((each) => each.op === op && each.name.includes(part));
    if (!found) throw new Error(`no ${op} ${part}`);
    return found;
  }

  constant(name: string, file?: string): Initializer {
    const found = this.graph(file).initializers.find((each) => each.name === name);
    if (!found) throw new Error(`no initializer ${name}`);
    return found;
  }

  /** Adds a constant and returns its name. */
  add(name: string, dtype: Initializer['dtype'], shape: number[], values: number[], file?: string): string {
    this.graph(file).initializers.push({ name, dtype, shape, content: { values } });
    return name;
  }

  /** Puts a node before the first reader of a value, which reads its output from then on. Returns the node. */
  insert(
    before: GraphNode,
    index: number,
    op: string,
    more: string[] = [],
    domain: GraphNode['domain'] = '',
  ): GraphNode {
    const { nodes } = this.graph();
    const node: GraphNode = {
      name: `planted/${op}`,
      op,
      domain,
      inputs: [before.inputs[index], ...more],
      outputs: [`planted/${op}/output_0`],
      attributes: {},
    };
    nodes.splice(nodes.indexOf(before), 0, node);
    before.inputs[index] = node.outputs[0];
    return node;
  }

  /** A stage's settings in genai_config.json. */
  stage(name: string): JsonObject {
    const model = (this.subject.genai as { model: { decoder: { pipeline: Record<string, JsonObject>[] } } }).model;
    const found = model.decoder.pipeline.find((each) => each[name]);
    if (!found) throw new Error(`no stage ${name}`);
    return found[name];
  }

  config(): { model: Record<string, never>; search: JsonObject } {
    return this.subject.genai as never;
  }
}
