import { arch, availableParallelism, cpus, freemem, platform, release, totalmem } from 'node:os';
import { formatBytes } from '../core/bytes.js';
import { VERSION } from '../core/version.js';
import { loadKernels } from '../kernels/kernels.js';
import { checkWritable, freeBytes } from '../places/writable.js';
import { loadOnnxRuntime } from '../runtime/onnxruntime.js';

/** Something that halfbyte needs, whether it is there, and what was found. */
export interface MachineCheck {
  name: string;
  ok: boolean;
  found: string;
  /** What does not run without it. */
  needs: string;
}

export interface Diagnosis {
  version: string;
  system: string;
  processor: string;
  cores: number;
  memoryBytes: number;
  freeMemoryBytes: number;
  /** Free space of the current directory; null where its file system does not tell. */
  freeDiskBytes: number | null;
  checks: MachineCheck[];
}

/** Oldest Node that is supported, as package.json has it. */
const OLDEST_NODE = [20, 11];

/** Looks at the machine: what is there, and what of halfbyte runs on it. */
export async function diagnose(): Promise<Diagnosis> {
  const here = process.cwd();
  return {
    version: VERSION,
    system: `${platform()} ${release()} ${arch()}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    freeDiskBytes: freeBytes(here),
    checks: [
      await check('Node', 'everything', nodeVersion),
      await check('WebAssembly kernels', 'everything', () => {
        loadKernels();
        return 'load';
      }),
      await check('ONNX Runtime', 'generate, bench and verify of packages', async () => {
        const { env } = await loadOnnxRuntime();
        return `onnxruntime-node ${env.versions.node ?? env.versions.common} loads`;
      }),
      await check('Current folder', 'relative outputs', () => {
        checkWritable(here, here);
        return 'can be written to';
      }),
    ],
  };
}

async function check(name: string, needs: string, look: () => string | Promise<string>): Promise<MachineCheck> {
  try {
    return { name, ok: true, found: await look(), needs };
  } catch (error) {
    return { name, ok: false, found: (error as Error).message, needs };
  }
}

function nodeVersion(): string {
  const { node } = process.versions;
  const [major, minor] = node.split('.').map(Number);
  const isOld = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]);
  if (isOld) throw new Error(`${node}; needed is ${OLDEST_NODE.join('.')} or later`);
  return node;
}

/** A diagnosis as text for a terminal. */
export function describeDiagnosis(found: Diagnosis): string {
  const disk = found.freeDiskBytes === null ? 'unknown' : formatBytes(found.freeDiskBytes);
  const lines = [
    `halfbyte ${found.version} on ${found.system}`,
    `${found.cores} cores: ${found.processor}`,
    `memory: ${formatBytes(found.freeMemoryBytes)} free of ${formatBytes(found.memoryBytes)}`,
    `disk: ${disk} free here`,
  ];
  for (const { name, ok, found: what, needs } of found.checks) {
    lines.push(ok ? `ok       ${name}: ${what}` : `MISSING  ${name}: ${what} (for ${needs})`);
  }
  return lines.join('\n');
}
