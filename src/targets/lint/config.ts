import { isObject, type Json, type JsonObject } from '../../core/json.js';
import { own } from '../../core/own.js';
import type { Subject } from './rule.js';
import type { GraphView } from './view.js';

/** A stage of genai_config.json and the graph that it names. */
export interface Stage {
  name: string;
  file: string;
  settings: JsonObject;
  view: GraphView | undefined;
}

/** What lies at a path of keys; undefined where a part of it is no object. */
export function at(from: Json | undefined, ...path: string[]): Json | undefined {
  let value = from;
  for (const key of path) value = isObject(value) ? value[key] : undefined;
  return value;
}

export const objectAt = (from: Json | undefined, ...path: string[]): JsonObject => {
  const value = at(from, ...path);
  return isObject(value) ? value : {};
};

export const listAt = (from: Json | undefined, ...path: string[]): Json[] => {
  const value = at(from, ...path);
  return Array.isArray(value) ? value : [];
};

/** Stages of a pipeline in their order: a list of objects with one stage each, or one object with all of them. */
export function pipelineOf(genai: JsonObject | null): { name: string; settings: JsonObject }[] {
  const pipeline = at(genai, 'model', 'decoder', 'pipeline');
  const groups = Array.isArray(pipeline) ? pipeline : [pipeline];
  return groups
    .filter(isObject)
    .flatMap((group) =>
      Object.entries(group).flatMap(([name, settings]) => (isObject(settings) ? [{ name, settings }] : [])),
    );
}

export const stagesOf = ({ genai, views }: Subject): Stage[] =>
  pipelineOf(genai).map(({ name, settings }) => {
    const file = String(settings.filename ?? '');
    return { name, file, settings, view: views.find((view) => view.file === file) };
  });

/** Providers that a stage asks for, with their options, names in lower case as the runtime compares them. */
export function providersOf(settings: JsonObject): Record<string, JsonObject> {
  const found = own<JsonObject>();
  for (const each of listAt(settings, 'session_options', 'provider_options').filter(isObject)) {
    for (const [name, options] of Object.entries(each)) found[name.toLowerCase()] = isObject(options) ? options : {};
  }
  return found;
}

/** Graph files that some provider besides the CPU's is asked to run. */
export function deviceFiles(genai: JsonObject | null): Set<string> {
  return new Set(
    pipelineOf(genai).flatMap(({ settings }) =>
      Object.keys(providersOf(settings)).some((name) => name !== 'cpu') ? [String(settings.filename ?? '')] : [],
    ),
  );
}

/** The names that a pattern as `past_keys_%d` stands for, a plain name for itself. */
export const namesOf = (pattern: string, layers: number): string[] =>
  pattern.includes('%d')
    ? Array.from({ length: layers }, (_, layer) => pattern.replace('%d', String(layer)))
    : [pattern];
