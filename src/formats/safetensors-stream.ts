import { closeSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { EnvironmentError } from '../core/errors.js';
import { layoutSafetensors, type SafetensorsLayout, type TensorEntry } from './safetensors-writer.js';

/**
 * A safetensors file whose data comes piece by piece. It stands under a temporary name until `finish`, so that an
 * interrupted run leaves no file that looks complete. Throws EnvironmentError where the file cannot be written.
 */
export class SafetensorsStream {
  readonly #layout: SafetensorsLayout;
  readonly #temporary: string;
  readonly #descriptor: number;

  constructor(
    readonly file: string,
    tensors: TensorEntry[],
    metadata: Record<string, string> = {},
  ) {
    this.#layout = layoutSafetensors(tensors, metadata);
    this.#temporary = `${file}.halfbyte-tmp`;
    this.#try(() => mkdirSync(dirname(file), { recursive: true }));
    this.#descriptor = this.#try(() => openSync(this.#temporary, 'w'));
    // Bytes that nobody writes are zero, and the file has its length from the start.
    this.#try(() => ftruncateSync(this.#descriptor, this.#layout.nbytes));
    this.#write(this.#layout.header, 0);
  }

  /** Writes bytes of a tensor at `offset` bytes from its begin. */
  write(name: string, offset: number, bytes: Uint8Array): void {
    const place = this.#layout.places.get(name);
    if (!place || offset + bytes.byteLength > place.nbytes) throw new Error(`${name} has no byte ${offset}`);
    this.#write(bytes, place.offset + offset);
  }

  finish(): void {
    this.#try(() => {
      closeSync(this.#descriptor);
      renameSync(this.#temporary, this.file);
    });
  }

  /** Removes what was written. */
  abandon(): void {
    closeSync(this.#descriptor);
    rmSync(this.#temporary, { force: true });
  }

  #write(bytes: Uint8Array, position: number): void {
    this.#try(() => {
      for (let done = 0; done < bytes.byteLength; ) {
        done += writeSync(this.#descriptor, bytes, done, bytes.byteLength - done, position + done);
      }
    });
  }

  #try<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new EnvironmentError(
        `${this.file}: cannot be written (${code ?? message}).`,
        'check the folder, its permissions and the space on the disk.',
      );
    }
  }
}
