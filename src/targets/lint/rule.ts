import type { ElementType } from '../../core/dtype.js';
import type { GraphNode } from '../../core/graph.js';
import type { JsonObject } from '../../core/json.js';
import type { Finding } from '../../core/lint.js';
import type { GraphView } from './view.js';

/** What a device wants of int4 weights. */
export interface WeightForm {
  type: 'INT4' | 'UINT4';
  symmetric: boolean;
  /** Columns that share a scale, or a scale for each output channel. */
  granularity: 'channel' | number;
}

/** A device as the rules see it: data alone. */
export interface Device {
  /** As people call it. */
  name: string;
  /** Key of its provider in genai_config.json, and options that the provider must be given. */
  provider: string;
  providerOptions: Record<string, string>;
  operators: ReadonlySet<string>;
  /** Those of them that the vendor's published list does not name. */
  unlisted: ReadonlySet<string>;
  /** Operators known to run on the CPU between the device's partitions in bundles that work. */
  islands: ReadonlySet<string>;
  /** Element types of values. */
  types: ReadonlySet<ElementType>;
  /** Types of quantized activations. */
  activations: ReadonlySet<ElementType>;
  /** Highest rank of a value. */
  rank: number;
  weights: WeightForm;
  /** Rules whose weight or origin differs on this device; null: the rule does not hold there. */
  exceptions: Record<string, Partial<Pick<Rule, 'severity' | 'source' | 'advice'>> | null>;
}

/** A package as the rules of the runtime see it. */
export interface RuntimeSubject {
  views: GraphView[];
  genai: JsonObject | null;
  files: Record<string, number>;
}

/** A package as the rules of a device see it. */
export interface Subject extends RuntimeSubject {
  device: Device;
}

/** Where a rule is broken, and how. */
export interface Hit {
  file: string;
  node: string | null;
  message: string;
}

/** A rule: how bad a break is, what to do about it, who says so, and what finds it. */
export interface RuleOver<S> {
  id: string;
  severity: Finding['severity'];
  advice: string;
  source: string;
  find(subject: S): Iterable<Hit>;
}
export type Rule = RuleOver<Subject>;
export type RuntimeRule = RuleOver<RuntimeSubject>;

/** A rule over each graph that the device runs. */
export const onDevice = (find: (view: GraphView, device: Device) => Iterable<Omit<Hit, 'file'>>): Rule['find'] =>
  function* ({ views, device }) {
    for (const view of views) {
      if (!view.onDevice) continue;
      for (const hit of find(view, device)) yield { file: view.file, ...hit };
    }
  };

/** A rule over every graph. */
export const everywhere = (find: (view: GraphView) => Iterable<Omit<Hit, 'file'>>): Rule['find'] =>
  function* ({ views }) {
    for (const view of views) for (const hit of find(view)) yield { file: view.file, ...hit };
  };

/** A rule over each node that the device runs, told in one sentence or not at all. */
export const eachNode = (judge: (node: GraphNode, view: GraphView, device: Device) => string | undefined) =>
  onDevice(function* (view, device) {
    for (const node of view.graph.nodes) {
      const message = judge(node, view, device);
      if (message !== undefined) yield { node: node.name, message };
    }
  });
