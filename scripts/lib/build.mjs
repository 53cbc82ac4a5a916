/** Compiles what is not fresh: C by make, TypeScript by tsc -b. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { say, step } from './say.mjs';

const C_BUILDS = [
  { dir: 'vrouter', makes: 'build/vrouter/vrouter.bpf.o', what: 'the vrouter (eBPF)' },
  { dir: 'packages/cni', makes: 'build/cni/cable-cni', what: 'the CNI executable' },
  { dir: 'packages/lab/relay', makes: 'build/lab/tap-relay', what: "the lab's tap relay" },
];

/** Compiles the C parts; make decides what is fresh. */
export async function buildC(root) {
  for (const build of C_BUILDS) {
    if (!existsSync(join(root, build.makes))) say(`compiling ${build.what}`);
    await step('make', ['-s', '-C', join(root, build.dir)], {
      remedy: `mend the error above, or remove ${build.makes} and try again`,
    });
  }
}

/** Compiles every package to its dist directory. */
export async function buildTypeScript(root) {
  if (!existsSync(join(root, 'packages/lab/dist/main.js'))) say('compiling TypeScript');
  await step(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b'], {
    cwd: root,
    remedy: 'mend the type errors above',
  });
}
