import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** How Node runs TypeScript of the source tree. */
const FROM_SOURCE = ['--import', 'tsx', '--conditions=cable-source'];

/**
 * Node's arguments to start a program of the source tree, by the path of its module, as `packages/agent/src/main.ts` below the root.
 * `npm test` bundles programs beforehand (scripts/lib/bundles.mjs): such a one is loaded in a fraction of the time. Everywhere else,
 * and for a program without a bundle, it is the source. `root`: of another tree with bundles of its own.
 */
export function sourceProgram(path: string, root?: string): readonly string[] {
  const bundles = root === undefined ? process.env['CABLE_TEST_BUNDLES'] : join(root, 'build/test');
  if (bundles === undefined) return [...FROM_SOURCE, path];
  const below = relative(dirname(dirname(bundles)), path);
  const bundle = join(bundles, below.replace(/\.ts$/, '.mjs'));
  return bundle.startsWith(`${bundles}/`) && existsSync(bundle) ? [bundle] : [...FROM_SOURCE, path];
}
