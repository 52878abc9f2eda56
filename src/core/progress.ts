/**
 * Progress of long work, told as it happens; commands show it, `--json` and `--quiet` drop it. `unit` says what is
 * counted where it is not bytes.
 */
export type ProgressListener = (progress: {
  stage: string;
  done: number;
  total: number;
  unit?: string | undefined;
  label: string;
}) => void;
