import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Json, refused, startHarness } from '../testing/harness.ts';

test('the MTU of a network is not raised above what a host with ports of it carries', async (t) => {
  const { server, send, create } = await startHarness(t);
  const register = (host: string, last: number, mtu: object) =>
    server.plane.register(host, { underlay: `192.0.2.${last}`, agentVersion: '1', ...mtu });
  await register('wide', 1, { underlayMtuBytes: 9000 });
  await register('small', 2, { underlayMtuBytes: 1400 });
  await register('older', 3, {});
  const network = await create('network', { mtu: 1300 });
  await create('subnet', { network_id: network['id'], ip_version: 4, cidr: '10.0.0.0/24' });
  const raise = (mtu: number) => send('PUT', `/v2.0/networks/${network['id']}`, { network: { mtu } });
  const hostOf = async (host: string): Promise<Json> =>
    (await send('GET', `/cable/v1/hosts/${host}`)).body['host'] as Json;

  for (const host of ['wide', 'older']) await create('port', { network_id: network['id'], 'binding:host_id': host });
  assert.equal((await raise(1450)).status, 200, 'what no host with ports of it has told does not count');
  assert.equal((await raise(1300)).status, 200);
  await create('port', { network_id: network['id'], 'binding:host_id': 'small' });
  assert.match(await refused(raise(1351), 400, 'InvalidInput'), /maximum is 1350: host small, which has ports/);
  assert.equal((await raise(1350)).status, 200);
  assert.deepEqual([(await hostOf('small'))['underlay_mtu'], (await hostOf('small'))['networks_too_large']], [1400, 0]);
  assert.deepEqual([(await hostOf('older'))['underlay_mtu'], (await hostOf('older'))['networks_too_large']], [null, 0]);

  await register('small', 2, { underlayMtuBytes: 1399 });
  assert.equal((await hostOf('small'))['networks_too_large'], 1, 'a host that carries less now says so');
  assert.equal((await raise(1320)).status, 200, 'to lower it is the remedy');
  assert.equal((await hostOf('small'))['networks_too_large'], 0);
});
