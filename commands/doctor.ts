import { HalfbyteCommand } from '../src/command.js';
import type { Diagnosis } from '../src/stages/doctor.js';

/** Looks at the machine. */
export default class Doctor extends HalfbyteCommand {
  static override summary = 'Say what of halfbyte runs on this machine.';
  static override description =
    'Node, ONNX Runtime, the WebAssembly kernels, cores, memory and the free space of the current folder. Exit code 4 where something that is ' +
    'needed is missing.';
  static override examples = ['<%= config.bin %> doctor', '<%= config.bin %> doctor --json'];

  async run(): Promise<Diagnosis> {
    await this.parse(Doctor);
    const { describeDiagnosis, diagnose } = await import('../src/stages/doctor.js');
    const found = await diagnose();
    this.log(describeDiagnosis(found));
    if (found.checks.some(({ ok }) => !ok)) this.exitCode = 4;
    return found;
  }
}
