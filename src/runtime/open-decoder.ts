import { openPackage, type Package } from '../formats/package-reader.js';
import { openCachedDecoder } from './cached-decoder.js';
import type { Decoder } from './decoder.js';
import type { SessionSettings } from './onnxruntime.js';
import { openPipelineDecoder } from './pipeline-decoder.js';

/** Opens the graphs of a package for running. Throws InvalidInputError, or EnvironmentError without onnxruntime-node. */
export async function openDecoder(from: string | Package, settings: SessionSettings = {}): Promise<Decoder> {
  const opened = typeof from === 'string' ? openPackage(from) : from;
  if (opened.genai.model.type === 'decoder-pipeline') return openPipelineDecoder(opened, settings);
  return openCachedDecoder(opened, settings);
}
