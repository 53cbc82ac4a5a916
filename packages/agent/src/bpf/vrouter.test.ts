import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ENTRY } from '../reconcile/program-slots.ts';
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

/** Of the programs that carry flows between hosts, and of those for VPNs and for pseudowires, of which the vrouter has nothing. */
const OF_OTHER_OBJECTS = /^cb_(carry|lsp|label|labelled|pw[a-z]*)_1$/;

test('the vrouter has the maps of the header, with the sizes of their codecs', () => {
  for (const spec of Object.values(MAPS)) {
    if (OF_OTHER_OBJECTS.test(spec.name)) continue;
    const map = vrouter?.maps.get(spec.name);
    assert.ok(map !== undefined, `the vrouter has no map ${spec.name}`);
    assert.deepEqual([map.info.keySize, map.info.valueSize], [spec.key.size, spec.value.size], spec.name);
  }
});

test('the vrouter has a program and a dispatcher for each kind of device', () => {
  for (const { program, dispatcher } of Object.values(ENTRY)) {
    for (const name of [program, dispatcher]) assert.ok(vrouter?.programs.has(name), name);
  }
});
