import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, NetworkHeader } from '@cable/model';
import { sampleId, samplePort, sampleSubnet } from '../plan/testing/sample.ts';
import { podPortOf } from './local-facts.ts';
import type { NetworkWays } from './network-ways.ts';
import { parseCniRequest } from './request.ts';
import { vpcAttachments } from './vpc-pod.ts';

const V6 = { cidr: 'fd00::/64', ipVersion: 6 as const, gatewayIp: 'fd00::1' };

function network(n: number, subnets: NetworkHeader['subnets']): NetworkHeader {
  const more = { name: 'n', projectId: 'p', adminStateUp: true, vni: n, mtuBytes: 1450 };
  return { id: sampleId('net', n), ...more, subnets };
}

/** Both networks have one prefix and one gateway. The cluster's has routes to Services. */
const ROUTES = [{ destination: '10.96.0.0/12', nexthop: '10.0.0.1' }];
const CLUSTERS = network(1, [
  { ...sampleSubnet(1), hostRoutes: ROUTES },
  { ...sampleSubnet(2), ...V6 },
]);
const OWN = network(2, [
  { ...sampleSubnet(3), cidr: '10.0.0.0/24', gatewayIp: '10.0.0.1' },
  { ...sampleSubnet(4), ...V6 },
]);

function port(n: number, net: NetworkHeader, last: number): LocalPort {
  const ips = [`10.0.0.${last}`, `fd00::${last}`];
  const fixedIps = ips.map((ipAddress, at) => ({ subnetId: net.subnets[at]?.id ?? '', ipAddress }));
  return samplePort(n, { networkId: net.id, fixedIps });
}

function attachments(ways: NetworkWays, conf: object = {}) {
  const args = 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c';
  const headers = {
    'cni-command': 'ADD',
    'cni-containerid': 'c1',
    'cni-netns': '/run/netns/pod',
    'cni-ifname': 'eth0',
  };
  const text = JSON.stringify({ cniVersion: '1.0.0', name: 'pods', type: 'cable-cni', cluster: 'k1', ...conf });
  const request = parseCniRequest({ ...headers, 'cni-args': args }, text);
  const facts = { network: (id: string) => [CLUSTERS, OWN].find((one) => one.id === id) };
  const [leg, vpc] = [podPortOf(port(1, CLUSTERS, 5), facts), podPortOf(port(2, OWN, 7), facts)];
  assert.ok(leg !== undefined && vpc !== undefined);
  return vpcAttachments(request, { leg, vpc }, ways);
}

const byGateway = (destination: string, gateway = '10.0.0.1') => ({ destination, gateway });
const DEFAULTS = [byGateway('0.0.0.0/0'), byGateway('::/0', 'fd00::1')];

test('the leg comes first, alone in its prefix, and has the default routes where the VPC does not lead outside', () => {
  const behind = { subnetId: sampleId('sub', 3), ...byGateway('10.9.0.0/16') };
  const elsewhere = { subnetId: sampleId('sub', 8), ...byGateway('10.8.0.0/16') };
  const [leg, vpc] = attachments({ prefixes: [behind, elsewhere], services: [], leadsOut: [] });
  assert.deepEqual([leg?.interfaceName, vpc?.interfaceName], ['eth0', 'vpc0']);
  assert.deepEqual(
    [leg, vpc].map((one) => one?.addresses.map(({ address }) => address)),
    [
      ['10.0.0.5/32', 'fd00::5/128'],
      ['10.0.0.7/24', 'fd00::7/64'],
    ],
  );
  assert.deepEqual(leg?.routes, [byGateway('10.96.0.0/12'), ...DEFAULTS]);
  assert.deepEqual(vpc?.routes, [byGateway('10.9.0.0/16')]);
  assert.deepEqual(leg?.answers, { table: 1067, from: ['10.0.0.5', 'fd00::5'], routes: DEFAULTS });
  assert.deepEqual(vpc?.answers, {
    table: 1068,
    follows: true,
    from: ['10.0.0.7', 'fd00::7'],
    routes: [
      { destination: '10.0.0.0/24', gateway: null },
      { destination: 'fd00::/64', gateway: null },
      byGateway('10.9.0.0/16'),
      ...DEFAULTS,
    ],
  });
});

test('a VPC that leads outside has the default route, of that version of IP', () => {
  const [leg, vpc] = attachments({ prefixes: [], services: [], leadsOut: [4] });
  assert.deepEqual(leg?.routes, [byGateway('10.96.0.0/12'), DEFAULTS[1]]);
  assert.deepEqual(vpc?.routes, [DEFAULTS[0]]);
  assert.deepEqual(leg?.answers?.routes, DEFAULTS, 'who came to the leg is answered by it all the same');
});

test('without default routes both answer all the same', () => {
  const [leg, vpc] = attachments({ prefixes: [], services: [], leadsOut: [4, 6] }, { defaultRoute: false });
  assert.deepEqual([leg?.routes, vpc?.routes], [[byGateway('10.96.0.0/12')], []]);
  assert.deepEqual(leg?.answers?.routes, DEFAULTS);
});

test('no route of the VPC takes what is for nodes, Services and names; a wider one stays, for the longest counts', () => {
  const within = { subnetId: sampleId('sub', 3), ...byGateway('10.96.0.10/32') };
  const around = { subnetId: sampleId('sub', 3), ...byGateway('10.0.0.0/8') };
  const beside = { subnetId: sampleId('sub', 3), ...byGateway('10.9.0.0/16') };
  const [, vpc] = attachments({ prefixes: [within, around, beside], services: [], leadsOut: [] });
  assert.deepEqual(
    vpc?.routes.map(({ destination }) => destination),
    ['10.0.0.0/8', '10.9.0.0/16'],
  );
});
