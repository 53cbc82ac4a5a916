import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { type LoadedObject, loadObject, type VerifierEffort } from '../../packages/agent/src/bpf/object.ts';

const object = (name: string): string => fileURLToPath(new URL(`../../build/vrouter/${name}`, import.meta.url));

/**
 * What each program may need at the most: instructions looked at by the verifier, and bytes of stack of all its functions together, of which a
 * chain of calls needs a part (the kernel refuses a chain of more than 512). Half as much again as it needs today.
 */
const BOUNDS: Readonly<Record<string, { readonly instructions: number; readonly stackBytes: number }>> = {
  enter_vif: { instructions: 20, stackBytes: 0 },
  enter_overlay: { instructions: 20, stackBytes: 0 },
  enter_service: { instructions: 20, stackBytes: 0 },
  enter_uplink: { instructions: 20, stackBytes: 0 },
  enter_frag: { instructions: 20, stackBytes: 0 },
  frag_in: { instructions: 50, stackBytes: 0 },
  frag_out: { instructions: 50, stackBytes: 16 },
  from_frag: { instructions: 10_500, stackBytes: 820 },
  from_vif: { instructions: 34_000, stackBytes: 1000 },
  from_overlay: { instructions: 31_000, stackBytes: 1000 },
  from_service: { instructions: 25_000, stackBytes: 900 },
  from_uplink: { instructions: 35_000, stackBytes: 1300 },
  // Of a denial a trace is told the other end, which is what 700 of these are for; the kernel bound is a million.
  decide: { instructions: 96_000, stackBytes: 2400 },
  arp: { instructions: 45_000, stackBytes: 1750 },
  group: { instructions: 45_000, stackBytes: 570 },
  flood: { instructions: 26_000, stackBytes: 920 },
  service: { instructions: 2000, stackBytes: 480 },
  refuse: { instructions: 13_000, stackBytes: 1000 },
  nd: { instructions: 76_000, stackBytes: 2700 },
  mirrored: { instructions: 3700, stackBytes: 900 },
  queued: { instructions: 48_000, stackBytes: 1100 },
  orphan: { instructions: 2000, stackBytes: 150 },
  probe: { instructions: 3000, stackBytes: 200 },
  outside: { instructions: 36_000, stackBytes: 1050 },
  translate: { instructions: 13_000, stackBytes: 1050 },
  ask_neighbour: { instructions: 6800, stackBytes: 570 },
  seek: { instructions: 6300, stackBytes: 600 },
  relay: { instructions: 13_000, stackBytes: 900 },
  start_collection: { instructions: 2000, stackBytes: 180 },
  trace_vif: { instructions: 20, stackBytes: 80 },
  trace_overlay: { instructions: 40, stackBytes: 150 },
  trace_uplink: { instructions: 40, stackBytes: 150 },
  purge_flows: { instructions: 2300, stackBytes: 250 },
};

/** Of the object of VPNs. */
const LABEL_MAPS = ['cb_lsp_1', 'cb_label_1', 'cb_labelled_1'];
/** Of that of pseudowires. */
const WIRE_MAPS = Object.values(MAPS).filter(({ name }) => name.startsWith('cb_pw'));

/** Branches that a zero would make dead must be seen too. */
const CONFIG = {
  cfg_overlay_ifindex: 1,
  cfg_service_ifindex: 1,
  cfg_frag_ifindex: 1,
  cfg_own_encapsulation: 1,
  cfg_queue_ifindex: 1,
  cfg_queue_end_ifindex: 2,
  cfg_mirror_ifindex: 1,
  cfg_mirror_end_ifindex: 3,
  cfg_underlay: 0xc0000201,
};

function loadIntoBank(file: string, bank: number): { loaded: LoadedObject; efforts: Map<string, VerifierEffort> } {
  const efforts = new Map<string, VerifierEffort>();
  const onVerified = (name: string, effort: VerifierEffort): void => {
    efforts.set(name, effort);
  };
  return { loaded: loadObject({ path: object(file), rodata: { ...CONFIG, cfg_bank: bank }, onVerified }), efforts };
}

for (const { file, more } of [
  { file: 'vrouter.bpf.o', more: [] },
  {
    file: 'vrouter-test.bpf.o',
    more: ['from_hammer', 'from_hammer_out', 'from_tagged', 'from_tunnel', 'from_uplink_tagged'],
  },
]) {
  test(`${file} passes the verifier, with the maps of the ABI`, () => {
    const { loaded } = loadIntoBank(file, 0);
    try {
      assert.deepEqual([...loaded.programs.keys()].sort(), [...Object.keys(BOUNDS), ...more].sort());
      for (const spec of Object.values(MAPS)) {
        if (spec === MAPS.cb_carry_1 || LABEL_MAPS.includes(spec.name) || WIRE_MAPS.includes(spec)) continue;
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

test('the programs that carry flows between hosts pass it, too', (t) => {
  const loaded = loadObject({
    path: object('carry.bpf.o'),
    onVerified: (name, { instructions }) => t.diagnostic(`${name}: ${instructions} instructions`),
  });
  try {
    const ofRouters = ['drop_others', 'leave_gateways', 'pass_on', 'take_gateway'];
    assert.deepEqual([...loaded.programs.keys()].sort(), [...ofRouters, 'put_in', 'sweep_flows', 'take_out'].sort());
    assert.equal(loaded.maps.get('cb_carry_1')?.info.valueSize, MAPS.cb_carry_1.value.size);
  } finally {
    loaded.close();
  }
});

test('so do the programs of VPNs, which have no map of the vrouter’s', (t) => {
  for (const config of [{ cfg_underlay: 0xc0000201 }, { cfg_underlay6: Uint8Array.of(...Array(15).fill(0x20), 1) }]) {
    const loaded = loadObject({
      path: object('labels.bpf.o'),
      rodata: { ...config, cfg_vpn_ifindex: 1 },
      onVerified: (name, { instructions, stackBytes }) => {
        t.diagnostic(`${name}: ${instructions} instructions, ${stackBytes.join('+')} bytes of stack`);
        assert.ok(instructions < 2000, name);
      },
    });
    try {
      assert.deepEqual([...loaded.programs.keys()], ['to_lsp', 'from_lsp']);
      assert.deepEqual([...loaded.maps.keys()], LABEL_MAPS);
      for (const spec of [MAPS.cb_lsp_1, MAPS.cb_label_1, MAPS.cb_labelled_1] as const) {
        const { keySize, valueSize } = loaded.maps.get(spec.name)?.info ?? {};
        assert.deepEqual([keySize, valueSize], [spec.key.size, spec.value.size], spec.name);
      }
    } finally {
      loaded.close();
    }
  }
});

test('so do the programs of pseudowires', (t) => {
  for (const config of [{ cfg_underlay: 0xc0000201 }, { cfg_underlay6: Uint8Array.of(...Array(15).fill(0x20), 1) }]) {
    const loaded = loadObject({
      path: object('pseudowires.bpf.o'),
      rodata: config,
      onVerified: (name, { instructions, stackBytes }) => {
        t.diagnostic(`${name}: ${instructions} instructions, ${stackBytes.join('+')} bytes of stack`);
        assert.ok(instructions < 70_000, name);
      },
    });
    try {
      assert.deepEqual([...loaded.programs.keys()].sort(), ['pw_came', 'pw_delivered', 'pw_due', 'pw_sent']);
      assert.deepEqual([...loaded.maps.keys()].sort(), WIRE_MAPS.map(({ name }) => name).sort());
      for (const spec of WIRE_MAPS) {
        const { keySize, valueSize } = loaded.maps.get(spec.name)?.info ?? {};
        assert.deepEqual([keySize, valueSize], [spec.key.size, spec.value.size], spec.name);
      }
    } finally {
      loaded.close();
    }
  }
});

test('so does the filter of packets that are shown', (t) => {
  const loaded = loadObject({
    path: object('sample.bpf.o'),
    onVerified: (name, { instructions }) => t.diagnostic(`${name}: ${instructions} instructions`),
  });
  assert.deepEqual([...loaded.programs.keys()], ['sample', 'capture']);
  loaded.close();
});

for (const bank of [0, 1]) {
  test(`the programs of bank ${bank} need no more of the verifier than they may`, (t) => {
    const { loaded, efforts } = loadIntoBank('vrouter.bpf.o', bank);
    loaded.close();
    for (const [name, bound] of Object.entries(BOUNDS)) {
      const effort = efforts.get(name);
      assert.ok(effort !== undefined, `the verifier said nothing of ${name}`);
      const stackBytes = effort.stackBytes.reduce((sum, bytes) => sum + bytes, 0);
      t.diagnostic(`${name}: ${effort.instructions} instructions, ${stackBytes} bytes of stack`);
      assert.ok(effort.instructions > 0 && effort.instructions <= bound.instructions, `instructions of ${name}`);
      assert.ok(stackBytes <= bound.stackBytes, `stack of ${name}`);
    }
  });
}
