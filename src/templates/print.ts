import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { isNumber, SafeText, Tuple, typeName, Undefined, type Value, View } from './values.js';

/** str() of Python. */
export function print(value: Value, budget: Budget): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return '';
  if (value instanceof SafeText) return value.text;
  return represent(value, budget);
}

/** repr() of Python. */
export function represent(value: Value, budget: Budget): string {
  budget.step();
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return printFloat(value);
  if (typeof value === 'string') return quote(value, budget);
  if (value instanceof Undefined) return 'Undefined';
  return budget.deeper(() => {
    const all = (items: Value[]) =>
      joined(
        items.map((each) => represent(each, budget)),
        budget,
      );
    if (Array.isArray(value)) return `[${all(value)}]`;
    if (value instanceof Tuple) return value.items.length === 1 ? `(${all(value.items)},)` : `(${all(value.items)})`;
    if (value instanceof View && value.kind !== 'range') return `${value.kind}([${all(value.items)}])`;
    if (value instanceof Map) {
      const entries = [...value].map(([key, each]) => `${represent(key, budget)}: ${represent(each, budget)}`);
      return `{${joined(entries, budget)}}`;
    }
    return unsupported(`printing a ${typeName(value)}`);
  });
}

function joined(texts: string[], budget: Budget): string {
  budget.text(texts.reduce((sum, each) => sum + each.length + 2, 0));
  return texts.join(', ');
}

/** The shortest digits that read back, with Python's choice of exponents. */
export function printFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  if (value === 0) return '0.0';
  const [digits, power] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  // below 1e16 both languages write these digits, JavaScript exponents from 1e-7 down alone
  const text = exponent < -6 ? value.toFixed(-exponent + digits.replace(/[-.]/g, '').length - 1) : String(value);
  return text.includes('.') ? text : `${text}.0`;
}

const ESCAPED: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quote(text: string, budget: Budget): string {
  budget.text(text.length);
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inside = text.replace(/[\\\n\r\t'"]|[\p{C}\p{Z}]/gu, (character) => {
    if (character in ESCAPED) return ESCAPED[character];
    if (character === "'" || character === '"') return character === mark ? `\\${character}` : character;
    if (character === ' ') return character;
    const code = character.codePointAt(0) as number;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return mark + inside + mark;
}

export interface JsonStyle {
  ascii: boolean;
  /** What a level is indented by; null for one line. */
  indent: string | null;
  separators: readonly [string, string];
  sorted: boolean;
}

/** json.dumps() of Python. */
export function printJson(value: Value, style: JsonStyle, budget: Budget, level = 0): string {
  budget.step();
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (isNumber(value)) return printJsonNumber(value);
  if (typeof value === 'string') return quoteJson(value, style.ascii, budget);
  if (value instanceof SafeText) return quoteJson(value.text, style.ascii, budget);
  return budget.deeper(() => {
    const inner = (each: Value) => printJson(each, style, budget, level + 1);
    if (Array.isArray(value)) return bracketed('[', ']', value.map(inner), style, budget, level);
    if (value instanceof Tuple) return bracketed('[', ']', value.items.map(inner), style, budget, level);
    if (!(value instanceof Map)) return raise(`Object of type ${typeName(value)} is not JSON serializable`);
    const entries = [...value].map(([key, each]): [Value, string] => [
      key,
      `${quoteJson(jsonKey(key), style.ascii, budget)}${style.separators[1]}${inner(each)}`,
    ]);
    if (style.sorted) {
      if (!entries.every(([key]) => typeof key === 'string')) unsupported('sort_keys with keys that are no strings');
      entries.sort(([a], [b]) => ((a as string) < (b as string) ? -1 : 1));
    }
    return bracketed(
      '{',
      '}',
      entries.map(([, text]) => text),
      style,
      budget,
      level,
    );
  });
}

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key;
  return key === null ? 'null' : String(key);
}

function bracketed(
  open: string,
  close: string,
  parts: string[],
  { indent, separators }: JsonStyle,
  budget: Budget,
  level: number,
): string {
  if (parts.length === 0) return open + close;
  const width = indent === null ? 0 : 1 + indent.length * (level + 1);
  budget.text(parts.reduce((sum, part) => sum + part.length + separators[0].length + width, 0));
  if (indent === null) return open + parts.join(separators[0]) + close;
  const line = `\n${indent.repeat(level + 1)}`;
  return `${open}${line}${parts.join(separators[0] + line)}\n${indent.repeat(level)}${close}`;
}

function printJsonNumber(value: bigint | number): string {
  if (typeof value === 'bigint') return value.toString();
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  return printFloat(value);
}

function quoteJson(text: string, ascii: boolean, budget: Budget): string {
  budget.text(text.length);
  const quoted = JSON.stringify(text);
  if (!ascii) return quoted;
  return quoted.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
