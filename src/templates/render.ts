import { bind, positional, textArgument, wholeArgument } from './arguments.js';
import { Budget } from './budget.js';
import { raise, TemplateUnsupported, unsupported } from './errors.js';
import { Execution } from './execute.js';
import { parseTemplate } from './parse.js';
import { print } from './print.js';
import { Scope } from './scope.js';
import { strftime } from './strftime.js';
import { Callable, Namespace, type Value, View } from './values.js';

/** jinja2's sandbox raises beyond this. */
const LONGEST_RANGE = 100_000;

/**
 * Renders a chat template as transformers does with Python's jinja2: trim_blocks, lstrip_blocks, the immutable sandbox,
 * break and continue, generation, tojson, raise_exception, strftime_now. `context` has the names that it may read, `now` is the local time. Throws TemplateRaised
 * where Python raises, TemplateUnsupported for what is not computed here and for what passes the bounds of Budget.
 */
export function renderTemplate(template: string, context: ReadonlyMap<string, Value>, now: Date): string {
  const budget = new Budget();
  try {
    const body = parseTemplate(template);
    const globals = new Scope();
    for (const [name, value] of globalNames(now)) globals.set(name, value);
    const scope = new Scope(globals);
    for (const [name, value] of context) scope.set(name, value);
    return new Execution(budget).text(body, new Scope(scope));
  } catch (error) {
    if (error instanceof RangeError) throw new TemplateUnsupported('expressions that are nested too deeply');
    throw error;
  }
}

function globalNames(now: Date): [string, Value][] {
  const make = (name: string, run: Callable['call']): [string, Value] => [name, new Callable(name, run)];
  const missing = (name: string) => make(name, () => unsupported(`the function ${name}`));
  return [
    make('raise_exception', (args, budget) =>
      raise(print(bind('raise_exception', args, ['message'], 1)[0] as Value, budget)),
    ),
    make('strftime_now', (args) =>
      strftime(textArgument('strftime_now', bind('strftime_now', args, ['format'], 1)[0]), now),
    ),
    make('range', (args, budget) => {
      const given = positional('range', args, 3, 1).map((each) => wholeArgument('range', each, 0));
      const [from, to, step = 1] = given.length === 1 ? [0, given[0]] : given;
      if (step === 0) return raise('range() arg 3 must not be zero');
      const count = Math.max(0, Math.ceil((to - from) / step));
      if (count > LONGEST_RANGE)
        return raise(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${LONGEST_RANGE}).`);
      budget.items(count);
      return new View(
        'range',
        Array.from({ length: count }, (_, index) => BigInt(from + index * step)),
      );
    }),
    make('dict', ({ positional: values, named }) => {
      if (values.length > 1 || (values.length === 1 && !(values[0] instanceof Map))) unsupported('dict() of pairs');
      return new Map<Value, Value>([...((values[0] as Map<Value, Value>) ?? []), ...named]);
    }),
    make('namespace', ({ positional: values, named }) => {
      if (values.length > 1 || (values.length === 1 && !(values[0] instanceof Map)))
        unsupported('namespace() of pairs');
      const dict =
        values[0] instanceof Map ? [...values[0]].map(([key, each]): [string, Value] => [String(key), each]) : [];
      return new Namespace(new Map([...dict, ...named]));
    }),
    ...['lipsum', 'cycler', 'joiner'].map(missing),
  ];
}
