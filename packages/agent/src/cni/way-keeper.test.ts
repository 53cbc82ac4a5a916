import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { LocalPort, NetworkHeader } from '@cable/model';
import { sampleId, samplePort, sampleSubnet } from '../plan/testing/sample.ts';
import { linkOf } from './attachment.ts';
import { podPortOf } from './local-facts.ts';
import type { NetworkWays } from './network-ways.ts';
import { LEG_OWNER, POD_OWNER } from './pod-port.ts';
import { parseCniRequest } from './request.ts';
import { fakeLinks, NO_FACTS } from './testing/fakes.ts';
import { vpcAttachments } from './vpc-pod.ts';
import { concernsWays, WayKeeper } from './way-keeper.ts';

const NO_WAYS: NetworkWays = { prefixes: [], services: [], leadsOut: [] };

function network(n: number, cidr: string): NetworkHeader {
  const more = { name: 'n', projectId: 'p', adminStateUp: true, vni: n, mtuBytes: 1450 };
  return {
    id: sampleId('net', n),
    ...more,
    subnets: [{ ...sampleSubnet(n), cidr, gatewayIp: cidr.replace('0/24', '1') }],
  };
}

const NETWORKS = [network(1, '10.244.0.0/24'), network(2, '10.0.0.0/24')] as const;

function port(n: 1 | 2, deviceOwner: string, deviceId: string): LocalPort {
  const [own] = NETWORKS[n - 1]?.subnets ?? [];
  const ipAddress = own?.cidr.replace('0/24', '7') ?? '';
  return samplePort(n, {
    networkId: sampleId('net', n),
    deviceOwner,
    deviceId,
    fixedIps: [{ subnetId: own?.id ?? '', ipAddress }],
  });
}

const LEG = port(1, LEG_OWNER, 'c:eth0');
const OWN = port(2, POD_OWNER, 'c:vpc0');

/** A pod that is plugged while its VPC leads nowhere, and how it looks for what it leads to later. */
async function world(netns = '/run/netns/pod') {
  let ways = NO_WAYS;
  let asked = 0;
  const links = fakeLinks();
  const headers = { 'cni-command': 'ADD', 'cni-containerid': 'c1', 'cni-netns': netns, 'cni-ifname': 'eth0' };
  const conf = JSON.stringify({ cniVersion: '1.0.0', name: 'pods', type: 'cable-cni', cluster: 'k1' });
  const request = parseCniRequest({ ...headers, 'cni-args': 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c' }, conf);
  const facts = {
    ...NO_FACTS,
    network: (id: string) => NETWORKS.find((one) => one.id === id),
    port: (id: string) => [LEG, OWN].find((one) => one.id === id),
    portsByDeviceId: (id: string) => [LEG, OWN].filter((one) => one.deviceId === id),
    ways: () => {
      asked += 1;
      return ways;
    },
  };
  const [leg, vpc] = [podPortOf(LEG, facts), podPortOf(OWN, facts)];
  assert.ok(leg !== undefined && vpc !== undefined);
  const opened = links.open('/run/netns/pod');
  for (const made of vpcAttachments(request, { leg, vpc }, NO_WAYS)) await links.plug(opened, linkOf(made, request));
  opened.close();
  const stop = new AbortController();
  const keeper = new WayKeeper({ links, localFacts: facts, log: silentLogger(), signal: stop.signal });
  let followed = 0;
  const { follow } = links;
  links.follow = (...args) => {
    followed += 1;
    return follow(...args);
  };
  const destinations = (name: string): readonly string[] =>
    [...links.plugged.values()]
      .filter((one) => one.name === name)
      .flatMap((one) => one.routes.map((r) => r.destination));
  return {
    ...{ keeper, stop, links, destinations },
    lead: (next: Partial<NetworkWays>) => {
      ways = { ...NO_WAYS, ...next };
    },
    counts: () => ({ asked, followed }),
  };
}

const behind = (destination: string) => ({ subnetId: sampleId('sub', 2), destination, gateway: '10.0.0.1' });

test('a pod that runs follows what its VPC leads to, Services too, and nothing is done where nothing is different', async () => {
  const { keeper, lead, destinations, counts, links, stop } = await world();
  await keeper.look();
  assert.deepEqual(
    [destinations('vpc0'), counts().followed],
    [[], 1],
    'what an agent of before made is looked at once',
  );
  lead({ prefixes: [behind('10.9.0.0/16')], services: [behind('10.96.0.1/32')], leadsOut: [4] });
  await keeper.look();
  await keeper.look();
  assert.deepEqual([destinations('vpc0'), counts().followed], [['10.9.0.0/16', '10.96.0.1/32', '0.0.0.0/0'], 2]);
  assert.ok(!destinations('eth0').includes('0.0.0.0/0'), 'the VPC leads outside now');
  lead({ services: [behind('10.96.0.1/32')] });
  await keeper.look();
  assert.deepEqual(destinations('vpc0'), ['10.96.0.1/32']);
  assert.ok(destinations('eth0').includes('0.0.0.0/0'), 'and now no more');
  links.namespaces.clear();
  lead({});
  await keeper.look();
  assert.equal(links.opened.size, 0, 'a namespace that is gone stops nothing');
  links.namespaces.add('/run/netns/pod');
  await keeper.look();
  assert.deepEqual(destinations('vpc0'), [], 'what could not be made is tried again');
  stop.abort();
});

test('a link that does not say where its container is keeps what it has', async () => {
  const { keeper, lead, destinations, counts } = await world('/run/netns/with a blank');
  lead({ prefixes: [behind('10.9.0.0/16')] });
  await keeper.look();
  assert.deepEqual([destinations('vpc0'), counts()], [[], { asked: 0, followed: 0 }]);
});

test('changes that come together are one look, and none after the end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { keeper, stop, counts } = await world();
  keeper.changed();
  keeper.changed();
  t.mock.timers.tick(200);
  await keeper.look();
  assert.equal(counts().asked, 2, 'one of the timer, and one asked for');
  keeper.changed();
  stop.abort();
  t.mock.timers.tick(1000);
  keeper.changed();
  t.mock.timers.tick(1000);
  await new Promise(setImmediate);
  assert.equal(counts().asked, 2);
});

test('what concerns routes is told from the rest', () => {
  assert.equal(concernsWays([{ key: 'host:h1' }, { key: 'router:r' }]), true);
  assert.equal(concernsWays([{ key: 'host:h1' }, { key: 'pods:x' }]), false);
});

test('a look that fails, as where the kernel’s list of links changes all the time, ends nothing', async () => {
  const { keeper, lead, destinations, links, stop } = await world();
  lead({ prefixes: [behind('10.9.0.0/16')] });
  const { held } = links;
  links.held = () => {
    throw new Error('the list changed all the time');
  };
  await keeper.look();
  assert.deepEqual(destinations('vpc0'), []);
  links.held = held;
  await keeper.look();
  assert.deepEqual(destinations('vpc0'), ['10.9.0.0/16']);
  stop.abort();
});
