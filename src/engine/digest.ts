import { createHash } from 'node:crypto';

/** Name of the digest in journals and manifests. */
export const DIGEST_ALGORITHM = 'sha256';

/** Digest of bytes given in pieces. */
export interface Digest {
  update(bytes: Uint8Array): void;
  finish(): string;
}

export function startDigest(): Digest {
  const hash = createHash(DIGEST_ALGORITHM);
  return { update: (bytes) => void hash.update(bytes), finish: () => hash.digest('hex') };
}
