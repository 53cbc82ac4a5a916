import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { loadObject } from '../../packages/agent/src/bpf/object.ts';

const object = (name: string): string => fileURLToPath(new URL(`../../build/vrouter/${name}`, import.meta.url));

for (const { file, programs } of [
  { file: 'vrouter.bpf.o', programs: ['from_overlay', 'from_service', 'from_vif'] },
  { file: 'vrouter-test.bpf.o', programs: ['from_overlay', 'from_service', 'from_tunnel', 'from_vif'] },
]) {
  test(`${file} passes the verifier, with the maps of the ABI`, () => {
    // Branches that a zero would make dead must be seen too.
    const loaded = loadObject({ path: object(file), rodata: { cfg_overlay_ifindex: 1, cfg_service_ifindex: 1 } });
    try {
      assert.deepEqual([...loaded.programs.keys()].sort(), programs);
      for (const spec of Object.values(MAPS)) {
        const map = loaded.maps.get(spec.name);
        assert.ok(map !== undefined, `${spec.name} is in the object`);
        assert.equal(map.info.keySize, spec.key.size, `${spec.name}: key`);
        assert.equal(map.info.valueSize, spec.value.size, `${spec.name}: value`);
        assert.ok(spec.name.length <= 15, `${spec.name} fits the kernel's names`);
      }
    } finally {
      loaded.close();
    }
  });
}
