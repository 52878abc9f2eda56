import { createHash } from 'node:crypto';
import { closeSync, createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { openInput } from './input-file.js';

/** SHA-256 of a whole file in hex, read in pieces. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  const { descriptor: fd } = openInput(path);
  await pipeline(createReadStream('', { fd, highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/** Size of a file in bytes. */
export function sizeOfFile(path: string): number {
  const { descriptor, size } = openInput(path);
  closeSync(descriptor);
  return size;
}
