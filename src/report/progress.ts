import { createRequire } from 'node:module';
import type { SingleBar } from 'cli-progress';
import { formatBytes } from '../core/bytes.js';
import { shown } from '../core/printable.js';
import type { ProgressListener } from '../core/progress.js';

/**
 * Shows the progress of one piece of work. `clear` leaves nothing of it on the terminal, so that something else can be
 * printed there; the next step shows it again. It may be called twice.
 */
export interface ProgressDisplay {
  listener: ProgressListener;
  clear(): void;
}

type Step = Parameters<ProgressListener>[0];

export interface ProgressOptions {
  stream?: NodeJS.WriteStream;
  /** Milliseconds; for tests. */
  now?: () => number;
  /** Milliseconds between the lines that replace the bar where the stream is not a terminal. */
  interval?: number;
}

/** A bar on a terminal that has a cursor, otherwise a line every few seconds; both tell how much, speed, time left and the current label. */
export function showProgress(title: string, options: ProgressOptions = {}): ProgressDisplay {
  const { stream = process.stderr, now = () => performance.now(), interval = 3000 } = options;
  return stream.isTTY && process.env.TERM !== 'dumb'
    ? showBar(title, stream, now)
    : showLines(title, stream, now, interval);
}

function showLines(title: string, stream: NodeJS.WriteStream, now: () => number, interval: number): ProgressDisplay {
  const speed = new Speed(now);
  let lastLine = now();
  return {
    listener(step) {
      speed.update(step);
      if (now() - lastLine < interval) return;
      lastLine = now();
      const percent = Math.floor(fraction(step) * 100);
      stream.write(`${title}: ${step.stage} ${percent}%, ${describe(step, speed)}\n`);
    },
    clear() {},
  };
}

function showBar(title: string, stream: NodeJS.WriteStream, now: () => number): ProgressDisplay {
  const speed = new Speed(now);
  let bar: SingleBar | undefined;
  let current: Step | undefined;
  const render = () => {
    if (!current) return '';
    const columns = stream.columns || 80;
    const width = columns < 100 ? 8 : 24;
    const filled = Math.round(fraction(current) * width);
    const blocks = '='.repeat(filled) + '-'.repeat(width - filled);
    const text = `${title} [${blocks}] ${Math.floor(fraction(current) * 100)}%  ${describe(current, speed)}`;
    return text.slice(0, columns - 1);
  };
  const clear = () => {
    bar?.stop();
    bar = undefined;
    process.off('exit', clear);
  };
  return {
    listener(step) {
      if (current && current.stage !== step.stage) clear();
      current = step;
      speed.update(step);
      if (!bar) {
        // Loaded when there is something to show: no command should start slower for it.
        const { SingleBar } = createRequire(import.meta.url)('cli-progress') as typeof import('cli-progress');
        bar = new SingleBar({ stream, format: render, hideCursor: true, fps: 8, clearOnComplete: true });
        bar.start(step.total, step.done);
        // The cursor comes back however the program ends.
        process.once('exit', clear);
      }
      bar.update(step.done);
    },
    clear,
  };
}

function describe(step: Step, speed: Speed): string {
  const { done, total, unit } = step;
  const counts = unit === undefined ? `${formatBytes(done)} of ${formatBytes(total)}` : `${done} of ${total} ${unit}`;
  const rate = speed.perSecond;
  const label = shown(step.label);
  if (rate <= 0) return `${counts}  ${label}`;
  const speedText = unit === undefined ? `${(rate / 1e6).toFixed(0)} MB/s` : `${rate.toFixed(1)} a second`;
  return `${counts}, ${speedText}, ${formatSeconds((total - done) / rate)} left  ${label}`;
}

function fraction({ done, total }: Step): number {
  return total > 0 ? Math.min(1, done / total) : 1;
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Mean speed of the current stage. The first report counts as its start: a resumed run has work done before it. */
class Speed {
  #stage: string | undefined;
  #startedAt = 0;
  #startedWith = 0;
  #done = 0;

  constructor(readonly now: () => number) {}

  update({ stage, done }: Step): void {
    if (stage !== this.#stage) [this.#stage, this.#startedAt, this.#startedWith] = [stage, this.now(), done];
    this.#done = done;
  }

  get perSecond(): number {
    const seconds = (this.now() - this.#startedAt) / 1000;
    return seconds > 0 ? (this.#done - this.#startedWith) / seconds : 0;
  }
}
