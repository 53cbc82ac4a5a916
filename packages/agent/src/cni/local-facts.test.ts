import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleHost, sampleId, sampleNetwork, samplePort, slicesOf } from '../plan/sample.ts';
import { type LocalFacts, localFirst } from './local-facts.ts';
import type { CniRequest } from './request.ts';
import type { CniApi } from './server-api.ts';

const REQUEST = { containerId: 'c1', interfaceName: 'eth0' } as CniRequest;
const NETWORK = sampleNetwork(1);
const WHOLE: LocalFacts = { synced: true, slices: slicesOf(sampleHost('h1', []), NETWORK) };

function asked(facts: LocalFacts): { readonly api: CniApi; readonly calls: string[] } {
  const calls: string[] = [];
  const note =
    (what: string) =>
    async (query: object): Promise<never[]> => {
      calls.push(`${what} ${JSON.stringify(query)}`);
      return [];
    };
  const api = { networks: note('networks'), subnets: note('subnets'), ports: note('ports') } as unknown as CniApi;
  return { api: localFirst(api, facts, 'h1', REQUEST), calls };
}

test('a network that the host carries, its subnets, and that there is no port yet: the server is not asked', async () => {
  const { api, calls } = asked(WHOLE);
  assert.deepEqual(await api.networks({ id: NETWORK.id }), [{ id: NETWORK.id, project_id: 'project', mtu: 1450 }]);
  const [subnet] = await api.subnets({ network_id: NETWORK.id });
  assert.equal(subnet?.cidr, NETWORK.subnets[0]?.cidr);
  assert.equal(subnet?.gateway_ip, NETWORK.subnets[0]?.gatewayIp);
  assert.deepEqual(await api.ports({ device_id: 'c1:eth0' }), []);
  assert.deepEqual(calls, []);
});

const ASKED: readonly (readonly [string, LocalFacts, (api: CniApi) => Promise<unknown>])[] = [
  ['a network by name', WHOLE, (api) => api.networks({ name: 'net-1' })],
  ['a network that is not carried', WHOLE, (api) => api.networks({ id: sampleId('net', 2) })],
  ['a subnet by name', WHOLE, (api) => api.subnets({ network_id: NETWORK.id, name: 's' })],
  [
    'the port, when one of the interface is bound here',
    { synced: true, slices: slicesOf(sampleHost('h1', [samplePort(1, { deviceId: 'c1:eth0' })])) },
    (api) => api.ports({ device_id: 'c1:eth0' }),
  ],
  ['the port, when nothing was received yet', { synced: true, slices: new Map() }, (api) => api.ports({})],
  ['anything, when not in sync', { ...WHOLE, synced: false }, (api) => api.networks({ id: NETWORK.id })],
];

for (const [what, facts, call] of ASKED) {
  test(`the server is asked for ${what}`, async () => {
    const { api, calls } = asked(facts);
    await call(api);
    assert.equal(calls.length, 1);
  });
}
