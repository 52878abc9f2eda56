import fs from 'node:fs';

/** The calls by which checkpoints are read and packages written; tests bring their own to make a disk fail. */
export type FileSystem = Pick<
  typeof fs,
  | 'openSync'
  | 'closeSync'
  | 'readSync'
  | 'writeSync'
  | 'fstatSync'
  | 'statSync'
  | 'lstatSync'
  | 'accessSync'
  | 'ftruncateSync'
  | 'mkdirSync'
  | 'readdirSync'
  | 'readFileSync'
  | 'writeFileSync'
  | 'copyFileSync'
  | 'renameSync'
  | 'rmSync'
  | 'rmdirSync'
  | 'existsSync'
  | 'realpathSync'
  | 'utimesSync'
>;

export const realFileSystem: FileSystem = fs;
