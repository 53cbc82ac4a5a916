import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MAPS } from './abi.gen.ts';
import { type LoadedObject, loadObject } from './object.ts';
import { createScratch, type Scratch } from './testing.ts';

const SOURCES = new URL('../../../../vrouter', import.meta.url).pathname;

let scratch: Scratch;
let vrouter: LoadedObject | undefined;

before(() => {
  scratch = createScratch('vrouter');
  execFileSync('make', ['-C', SOURCES, `OUT=${scratch.dir}`, join(scratch.dir, 'vrouter.bpf.o')], { stdio: 'pipe' });
  vrouter = loadObject({ path: join(scratch.dir, 'vrouter.bpf.o') });
});

after(() => {
  vrouter?.close();
  scratch.remove();
});

test('the vrouter has the maps of the header, with the sizes of their codecs', () => {
  for (const spec of Object.values(MAPS)) {
    const map = vrouter?.maps.get(spec.name);
    assert.ok(map !== undefined, `the vrouter has no map ${spec.name}`);
    assert.deepEqual([map.info.keySize, map.info.valueSize], [spec.key.size, spec.value.size], spec.name);
  }
});

test('the vrouter has the three programs that the agent attaches', () => {
  for (const name of ['from_vif', 'from_overlay', 'from_service']) assert.ok(vrouter?.programs.has(name), name);
});
