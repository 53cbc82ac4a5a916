import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkHeader } from '@cable/model';
import { samplePort } from '../plan/testing/sample.ts';
import { type LocalFacts, localFirst } from './local-facts.ts';
import type { CniRequest } from './request.ts';
import type { CniApi } from './server-api.ts';
import { NO_FACTS } from './testing/fakes.ts';

const REQUEST = { containerId: 'c1', interfaceName: 'eth0' } as CniRequest;
const NETWORK: NetworkHeader = {
  id: '11111111-0000-4000-8000-000000000001',
  name: 'blue',
  projectId: 'tenant',
  adminStateUp: true,
  vni: 7,
  mtuBytes: 1450,
  subnets: [
    {
      id: '22222222-0000-4000-8000-000000000001',
      cidr: '10.0.0.0/24',
      ipVersion: 4,
      gatewayIp: '10.0.0.1',
      enableDhcp: true,
      dnsNameservers: ['10.0.0.53'],
      hostRoutes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.254' }],
    },
  ],
};

const WHOLE: LocalFacts = {
  ...NO_FACTS,
  synced: () => true,
  network: (id) => (id === NETWORK.id ? NETWORK : undefined),
};

function asked(facts: LocalFacts): { readonly api: CniApi; readonly calls: string[] } {
  const calls: string[] = [];
  const note =
    (what: string) =>
    async (query: object): Promise<never[]> => {
      calls.push(`${what} ${JSON.stringify(query)}`);
      return [];
    };
  const api = { networks: note('networks'), subnets: note('subnets'), ports: note('ports') } as unknown as CniApi;
  return { api: localFirst(api, facts, REQUEST), calls };
}

test('a network that the host carries, its subnets, and that there is no port yet: the server is not asked', async () => {
  const { api, calls } = asked(WHOLE);
  assert.deepEqual(await api.networks({ id: NETWORK.id }), [{ id: NETWORK.id, project_id: 'tenant', mtu: 1450 }]);
  assert.deepEqual(await api.subnets({ network_id: NETWORK.id }), [
    {
      id: '22222222-0000-4000-8000-000000000001',
      cidr: '10.0.0.0/24',
      gateway_ip: '10.0.0.1',
      dns_nameservers: ['10.0.0.53'],
      host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.254' }],
    },
  ]);
  assert.deepEqual(await api.ports({ device_id: 'c1:eth0' }), []);
  assert.deepEqual(calls, []);
});

const ASKED: readonly (readonly [string, LocalFacts, (api: CniApi) => Promise<unknown>])[] = [
  ['a network by name', WHOLE, (api) => api.networks({ name: 'blue' })],
  ['a network that is not carried', WHOLE, (api) => api.networks({ id: '11111111-0000-4000-8000-000000000002' })],
  ['a subnet by name', WHOLE, (api) => api.subnets({ network_id: NETWORK.id, name: 's' })],
  [
    'the port, when one of the interface is bound here',
    { ...WHOLE, portsByDeviceId: (deviceId) => (deviceId === 'c1:eth0' ? [samplePort(1)] : []) },
    (api) => api.ports({ device_id: 'c1:eth0' }),
  ],
  ['anything, when not in sync', { ...WHOLE, synced: () => false }, (api) => api.networks({ id: NETWORK.id })],
];

for (const [what, facts, call] of ASKED) {
  test(`the server is asked for ${what}`, async () => {
    const { api, calls } = asked(facts);
    await call(api);
    assert.equal(calls.length, 1);
  });
}
