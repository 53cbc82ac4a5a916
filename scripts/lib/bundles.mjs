/**
 * Bundles test files and the programs that tests start: a few files each instead of hundreds of modules, each of which is found,
 * stripped of its types and loaded on its own.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Programs that tests start, again and again. */
const MAINS = ['agent', 'cli', 'controller', 'lab', 'ovn', 'server'].map((name) => `packages/${name}/src/main.ts`);
const PROGRAMS = [
  ...MAINS,
  'packages/agent/src/stream/testing/state-writer.ts',
  'packages/agent/src/testing/dns-upstream.ts',
  'packages/agent/src/testing/flooder.ts',
  'packages/lab/src/balancer.ts',
  'packages/store/src/testing/writer.ts',
  'test/joining/killed-program.ts',
  'test/multicast/group-party.ts',
  'test/outside/party.ts',
  'test/versions/held-connections.ts',
  'vrouter/test/facts-loader.ts',
];

/** Test files that import what they find or make while they run, which may be TypeScript: they run from source. */
const IMPORTS_WHAT_IT_FINDS = /\bimport\([^'")]/;

/** Where bundles lie below the root, each as its source does there, with the ending `.mjs`. */
export const BUNDLES = 'build/test';

/** Bundles the programs, and the test files that can be. */
export async function bundleTests(root, files) {
  rmSync(join(root, BUNDLES), { recursive: true, force: true });
  const bundled = files.filter((file) => !IMPORTS_WHAT_IT_FINDS.test(readFileSync(join(root, file), 'utf8')));
  // Files of one package share what they have in common.
  const groups = new Map([['', PROGRAMS]]);
  for (const file of bundled) {
    const group = file.split('/').slice(0, 2).join('/');
    groups.set(group, [...(groups.get(group) ?? []), file]);
  }
  for (const entries of groups.values()) await bundle(root, entries);
}

/** Bundles the main modules of a tree of sources that is, or was, Cable's. */
export async function bundleMains(root) {
  await bundle(
    root,
    MAINS.filter((file) => existsSync(join(root, file))),
  );
}

/** Where the bundle of a file of the tree is, or would be, both below the root. */
export function bundleOf(file) {
  return join(BUNDLES, file.replace(/\.ts$/, '.mjs'));
}

async function bundle(root, entries) {
  // Only here: whoever installs packages imports this file, too.
  const { build } = await import('esbuild');
  await build({
    absWorkingDir: root,
    entryPoints: entries.map((file) => ({ in: file, out: file.replace(/\.ts$/, '') })),
    outdir: BUNDLES,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'shared/[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['cable-source'],
    keepNames: true,
    // A test's tree of an older version lacks the files that its own builds upon.
    tsconfigRaw: {},
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'warning',
    plugins: [othersPackages, ownPlaces],
  });
}

/** Packages that are not ours stay where they are: some find files beside themselves. */
const othersPackages = {
  name: 'packages of others',
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
      kind === 'entry-point' || path.startsWith('@cable/') ? undefined : { path, external: true },
    );
  },
};

/** `import.meta` tells of the module's source, beside which the module finds its files. */
const ownPlaces = {
  name: 'own places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      if (!source.includes('import.meta.')) return undefined;
      // What starts a program beside itself, of its own kind of file, starts that of dist: it needs no loader.
      const ofOwnKind = source.includes('extname(import.meta.url)');
      const place = ofOwnKind ? path.replace('/src/', '/dist/').replace(/\.ts$/, '.js') : path;
      const contents = source
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(place).href))
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(place)));
      return { contents, loader: 'ts' };
    });
  },
};
