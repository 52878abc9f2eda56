import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** `npm pack` of the build as it stands, into `directory`: the tarball, and the files in it. */
export function packed(directory: string): { tarball: string; files: string[] } {
  if (!existsSync(join(root, 'dist/.build-stamp'))) throw new Error('not built. Try this: npm run build');
  // Without scripts: prepack would build once more.
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', directory];
  const shell = process.platform === 'win32';
  const output = execFileSync('npm', args, { cwd: root, encoding: 'utf8', shell, stdio: ['ignore', 'pipe', 'ignore'] });
  const [{ filename, files }] = JSON.parse(output);
  return { tarball: join(directory, filename), files: files.map(({ path }: { path: string }) => path) };
}

/**
 * Puts a tarball where `npm install` would, into `prefix`/node_modules/halfbyte, with the packages that it depends on
 * linked from this checkout: what is tested is the tarball, and neither a network nor npm's cache is needed.
 */
export function installPacked(tarball: string, prefix: string): string {
  const installed = join(prefix, 'node_modules/halfbyte');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components', '1']);
  const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) link(name, prefix);
  return installed;
}

/** Makes a package of this checkout one that `prefix` has installed. */
export function link(name: string, prefix: string): void {
  const place = join(prefix, 'node_modules', name);
  mkdirSync(dirname(place), { recursive: true });
  symlinkSync(join(root, 'node_modules', name), place, 'junction');
}
