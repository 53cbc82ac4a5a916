/** Of which ports the vrouter is to tell because of logs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PacketLog } from '@cable/model';
import { CB_VIF_F_FOLLOWED, cbVif } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { plannedBed } from '../plan/testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleNetwork,
  samplePolicy,
  samplePort,
} from '../plan/testing/sample.ts';

const [ONE, OTHER] = [samplePort(5), samplePort(6)];

function logs(...all: readonly Partial<PacketLog>[]): SampleSlice {
  const items = all.map((more, n): readonly [string, PacketLog] => {
    const id = `l${n}`;
    return [id, { id, projectId: 'q', groupId: null, portId: null, accepts: true, drops: true, ...more }];
  });
  return { key: 'logs:cloud', header: { of: 'cloud' }, items: new Map(items) };
}

test('the vrouter tells of a port as long as a log is about it', async () => {
  const endpoints = [ONE, OTHER].map((port) => sampleEndpoint(port, 'h1', '192.0.2.1'));
  const base = [sampleHost('h1', [ONE, OTHER]), ...sampleNetwork(1, {}, endpoints), samplePolicy('', [])].flat();
  const bed = await plannedBed(base, [ONE, OTHER]);
  const told = (): readonly boolean[] => {
    const vifs = [ONE, OTHER].map(({ id }) => bed.planner.ids('vif').get(id));
    const rows = [...bed.planner.entries.of('cb_vif_2').values()];
    return vifs.map((vif) => {
      const row = rows.find(({ key }) => textBytes(key)[0] === vif);
      assert.ok(row !== undefined);
      return (cbVif.decode(textBytes(row.value)).flags & CB_VIF_F_FOLLOWED) !== 0;
    });
  };
  assert.deepEqual(told(), [false, false]);
  await bed.plan(...base, logs({ portId: ONE.id }));
  assert.deepEqual(told(), [true, false]);
  await bed.plan(...base, logs({ portId: ONE.id }, { projectId: ONE.projectId }));
  assert.deepEqual(told(), [true, true]);
  await bed.plan(...base, logs({ groupId: 'none' }));
  assert.deepEqual(told(), [false, false]);
});
