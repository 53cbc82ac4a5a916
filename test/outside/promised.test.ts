/** Minimum bandwidth with a real agent, which says what its host has: ports get no more, until it says more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import type { HostBandwidth } from '@cable/model';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

test('a host’s agent says what ports may be promised there, and its ports get no more', {
  timeout: 200_000,
}, async (t) => {
  const bed = new VersionBed('prom', 0);
  t.after(() => bed.remove());
  await bed.start(CURRENT, ...bed.hosts.map(() => CURRENT));
  const host = async (): Promise<{ readonly bandwidth: HostBandwidth; readonly booked_bandwidth: HostBandwidth }> =>
    (await bed.api.get('host', bed.h1.name)) as never;
  const says = async (kbps: number): Promise<void> => {
    const bandwidth = `rp_tunnelled:${kbps}:${kbps}`;
    await bed.h1.end('SIGTERM');
    await bed.h1.start(CURRENT, '--bandwidth', bandwidth);
    await eventually(
      'the host says what it has',
      async () => (await host()).bandwidth['rp_tunnelled']?.egress === kbps,
    );
  };
  await bed.h1.inStep();
  assert.deepEqual((await host()).bandwidth, {});
  await says(500);
  const policy = await bed.api.create('qos_policy', { name: 'gold' });
  await bed.api.within(policy.id).create('qos_minimum_bandwidth_rule', { min_kbps: 300 });
  const network = await bed.api.create('network', { name: 'n' });
  const given = { network_id: network.id, qos_policy_id: policy.id, 'binding:host_id': bed.h1.name };
  await bed.api.create('port', { name: 'first', ...given });
  const second = { name: 'second', ...given };
  await assert.rejects(bed.api.create('port', second), (err) => err instanceof ApiError && err.status === 409);
  await says(600);
  await bed.api.create('port', second);
  assert.deepEqual((await host()).booked_bandwidth, { rp_tunnelled: { egress: 600 } });
  await says(100);
  assert.equal((await bed.api.list('port', { 'binding:host_id': bed.h1.name })).length, 2, 'nobody is thrown out');
});
