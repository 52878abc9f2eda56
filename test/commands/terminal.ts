import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Screen {
  code: number;
  /** What a person sees in the end, from the first line on: lines that the terminal wrapped are one. */
  lines: string[];
  /** Everything that was sent to the terminal. */
  sent: string;
  isCursorVisible: boolean;
}

/** Why there is no pseudo-terminal on this machine; undefined where there is one. */
export function whyNoTerminal(): string | undefined {
  try {
    require('@lydell/node-pty');
    return undefined;
  } catch (error) {
    return `no pseudo-terminal for ${process.platform} ${process.arch}: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** Runs the built program on a pseudo-terminal and shows what a terminal emulator makes of it. */
export async function onTerminal(
  args: string[],
  { columns = 80, env = {} }: { columns?: number; env?: Record<string, string> | undefined } = {},
): Promise<Screen> {
  const pty = require('@lydell/node-pty') as typeof import('@lydell/node-pty');
  const { Terminal } = require('@xterm/headless') as typeof import('@xterm/headless');
  const terminal = new Terminal({ cols: columns, rows: 24, scrollback: 5000, allowProposedApi: true });
  const { NO_COLOR, FORCE_COLOR, ...inherited } = process.env as Record<string, string>;
  const child = pty.spawn(process.execPath, [join(root, 'bin/run.js'), ...args], {
    cols: columns,
    rows: 24,
    cwd: root,
    env: { ...inherited, TERM: 'xterm-256color', ...env },
  });
  let sent = '';
  child.onData((data) => {
    sent += data;
  });
  const code = await new Promise<number>((resolve) => child.onExit(({ exitCode }) => resolve(exitCode)));
  await new Promise<void>((resolve) => terminal.write(sent, resolve));
  const buffer = terminal.buffer.active;
  const lines: string[] = [];
  for (let row = 0; row < buffer.length; row++) {
    const line = buffer.getLine(row);
    const text = line?.translateToString(true) ?? '';
    if (line?.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  while (lines.at(-1) === '') lines.pop();
  const [hidden, shown] = ['\u001b[?25l', '\u001b[?25h'].map((code) => sent.lastIndexOf(code));
  terminal.dispose();
  return { code, lines, sent, isCursorVisible: shown >= hidden };
}
