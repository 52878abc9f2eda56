import { textWindows } from '../../metrics/math/windows.js';

export interface TextToMeasure {
  file: string;
  ids: readonly number[];
  /** Put before each window; undefined where the model has no such token. */
  leading: number | undefined;
  windowTokens: number;
  windows: number;
}

export const windowsOf = ({ ids, leading, windowTokens, windows }: TextToMeasure) =>
  textWindows(ids, { length: windowTokens, leading, count: windows });
