import { type Activation, activation, number, type OperatorCall, text } from '../call.js';
import { activationFunction } from './functions.js';

function map(x: Activation, f: (value: number) => number): Activation {
  const data = new Float32Array(x.data.length);
  for (let i = 0; i < data.length; i++) data[i] = f(x.data[i]);
  return { width: x.width, data };
}

/** A copy of the first input, for the second one to be combined into. */
function pair(call: OperatorCall): { result: Activation; other: Float32Array } {
  const [a, b] = [activation(call, 0), activation(call, 1)];
  if (a.width !== b.width) throw new Error(`${call.node.name}: widths ${a.width} and ${b.width} differ`);
  return { result: { width: a.width, data: a.data.slice() }, other: b.data };
}

export function add(call: OperatorCall) {
  const { result, other } = pair(call);
  for (let i = 0; i < other.length; i++) result.data[i] += other[i];
  return result;
}

export function multiply(call: OperatorCall) {
  const { result, other } = pair(call);
  for (let i = 0; i < other.length; i++) result.data[i] *= other[i];
  return result;
}

export function activate(call: OperatorCall) {
  return map(activation(call, 0), activationFunction(text(call, 'function')));
}

/** The factor is rounded to float32, as the frameworks hold it. */
export function scale(call: OperatorCall) {
  const factor = Math.fround(number(call, 'factor'));
  return map(activation(call, 0), (value) => value * factor);
}

/** x times 1 + beta ln(1 + floor(p / length)) at position p. */
export function positionScale(call: OperatorCall) {
  const x = activation(call, 0);
  const [beta, length] = [number(call, 'beta'), number(call, 'length')];
  const data = new Float32Array(x.data.length);
  for (let token = 0; token < call.tokens; token++) {
    const factor = 1 + beta * Math.log(1 + Math.floor(call.sequences.positions[token] / length));
    for (let i = token * x.width; i < (token + 1) * x.width; i++) data[i] = x.data[i] * factor;
  }
  return { width: x.width, data };
}

/** cap * tanh(x / cap). */
export function softcap(call: OperatorCall) {
  const cap = number(call, 'cap');
  return map(activation(call, 0), (value) => cap * Math.tanh(value / cap));
}

/** Columns [from, to). */
export function slice(call: OperatorCall) {
  const x = activation(call, 0);
  const [from, to] = [number(call, 'from'), number(call, 'to')];
  const width = to - from;
  const data = new Float32Array(call.tokens * width);
  for (let token = 0; token < call.tokens; token++) {
    data.set(x.data.subarray(token * x.width + from, token * x.width + to), token * width);
  }
  return { width, data };
}

/** All inputs side by side. */
export function concat(call: OperatorCall) {
  const parts = call.node.inputs.map((_, index) => activation(call, index));
  const width = parts.reduce((sum, part) => sum + part.width, 0);
  const data = new Float32Array(call.tokens * width);
  for (let token = 0; token < call.tokens; token++) {
    let at = token * width;
    for (const part of parts) {
      data.set(part.data.subarray(token * part.width, (token + 1) * part.width), at);
      at += part.width;
    }
  }
  return { width, data };
}
