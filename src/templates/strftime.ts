import { unsupported } from './errors.js';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];

const two = (value: number) => String(value).padStart(2, '0');

const FIELDS: Record<string, (time: Date) => string> = {
  Y: (time) => String(time.getFullYear()),
  y: (time) => two(time.getFullYear() % 100),
  m: (time) => two(time.getMonth() + 1),
  d: (time) => two(time.getDate()),
  e: (time) => String(time.getDate()).padStart(2),
  H: (time) => two(time.getHours()),
  I: (time) => two(time.getHours() % 12 || 12),
  M: (time) => two(time.getMinutes()),
  S: (time) => two(time.getSeconds()),
  p: (time) => (time.getHours() < 12 ? 'AM' : 'PM'),
  B: (time) => MONTHS[time.getMonth()],
  b: (time) => MONTHS[time.getMonth()].slice(0, 3),
  h: (time) => MONTHS[time.getMonth()].slice(0, 3),
  A: (time) => DAYS[time.getDay()],
  a: (time) => DAYS[time.getDay()].slice(0, 3),
  w: (time) => String(time.getDay()),
  u: (time) => String(time.getDay() || 7),
  j: (time) => String(dayOfYear(time)).padStart(3, '0'),
  F: (time) => `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`,
  T: (time) => `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`,
  R: (time) => `${two(time.getHours())}:${two(time.getMinutes())}`,
  D: (time) => `${two(time.getMonth() + 1)}/${two(time.getDate())}/${two(time.getFullYear() % 100)}`,
  n: () => '\n',
  t: () => '\t',
  Z: () => '',
  z: () => '',
  '%': () => '%',
};
/** glibc: no padding. */
const UNPADDED = 'demHIMSjy';

/** datetime.now().strftime() of Python in the C locale: a naive local time, so %Z and %z are empty. */
export function strftime(format: string, time: Date): string {
  return format.replace(/%(-?)([\s\S]?)/g, (whole, dash: string, field: string) => {
    if (!Object.hasOwn(FIELDS, field) || (dash && !UNPADDED.includes(field))) {
      return unsupported(`the field ${JSON.stringify(whole)} of strftime_now`);
    }
    const text = FIELDS[field](time);
    return dash ? text.replace(/^[0 ]+(?=\d)/, '') : text;
  });
}

function dayOfYear(time: Date): number {
  const day = (year: number, month: number, date: number) => Date.UTC(year, month, date) / 86_400_000;
  return day(time.getFullYear(), time.getMonth(), time.getDate()) - day(time.getFullYear(), 0, 0);
}
