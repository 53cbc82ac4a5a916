import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterService, ServiceBackend } from '@cable/model';
import { CB_BACKENDS, type MAPS } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { type Row, type ShownMap, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import { type SampleSlice, sampleHost, sampleId, sampleNetwork, samplePort, sampleRouter } from './testing/sample.ts';

const PORT = samplePort(5);
const SCOPE = sampleId('scope', 1);
const WEB = sampleId('svc', 2);
const NODE = samplePort(6, {
  vifKind: 'host',
  deviceOwner: 'kubernetes:node',
  portSecurityEnabled: false,
  policy: null,
});
const BASE = [sampleHost('h1', [PORT]), sampleNetwork(1), sampleRouter(1, [1])].flat();

function service(more: Partial<ClusterService> = {}): ClusterService {
  return {
    ...{ id: WEB, name: 'default/web', projectId: 'k', clusterIps: ['10.96.0.10'], externalIps: [] },
    ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
    ...more,
  };
}

function services(all: readonly ClusterService[], routers: readonly number[] = [1]): SampleSlice {
  const routerIds = routers.map((n) => sampleId('rtr', n));
  const header = { scopeId: SCOPE, cidrs: ['10.96.0.0/16', 'fd96::/112'], routerIds };
  return { key: `services:${SCOPE}`, header, items: new Map(all.map((one) => [one.id, one])) };
}

function backend(ipAddress: string, more: Partial<ServiceBackend> = {}): readonly [string, ServiceBackend] {
  const ports = [{ name: 'http', protocol: 'TCP', port: 8080 }] as const;
  return [`set/${ipAddress}`, { serviceId: WEB, ipAddress, ports, ...more }];
}

function backends(all: readonly (readonly [string, ServiceBackend])[]): SampleSlice {
  return { key: `backends:${SCOPE}`, header: { scopeId: SCOPE }, items: new Map(all) };
}

async function planned(...slices: readonly SampleSlice[]): Promise<PlanBed> {
  const bed = createPlanBed();
  bed.plug(PORT, 50);
  await bed.plan(...BASE, ...slices);
  return bed;
}

function rowsOf({ planner, state }: PlanBed, map: ShownMap & keyof typeof MAPS): readonly Row[] {
  const reading = readNames({ host: 'h1', slices: state, planner });
  let names = reading.next();
  while (names.done !== true) names = reading.next();
  const found = names.value;
  const entries = [...planner.entries.of(map as 'cb_service_1').values()];
  return entries.flatMap(({ key, value }) => {
    const row = showEntry(map, { key: textBytes(key), value: textBytes(value) }, found);
    return row === undefined ? [] : [row];
  });
}

/** `<address> <protocol> <port>: <endpoints that count> | <kept>` of each port of a Service. */
function ports(bed: PlanBed): readonly string[] {
  const lists = new Map<unknown, string[]>();
  for (const { list, chunk, endpoints } of rowsOf(bed, 'cb_backend_1')) {
    const known = lists.get(list) ?? [];
    lists.set(list, known);
    known[Number(chunk)] = String(endpoints);
  }
  return rowsOf(bed, 'cb_service_1')
    .filter(({ port }) => port !== undefined)
    .map(({ address, protocol, port, list, endpoints, kept }) => {
      const all = (lists.get(list) ?? []).join(', ').split(', ').filter(Boolean);
      assert.equal(all.length, Number(endpoints) + Number(kept));
      const [counting, rest] = [all.slice(0, Number(endpoints)), all.slice(Number(endpoints))];
      return `${address} ${protocol} ${port}: ${counting.join(', ')} | ${rest.join(', ')}`;
    })
    .sort();
}

test('each port of each address leads to the endpoints of its version of IP, at the port of the same name', async () => {
  const http = { name: 'http', protocol: 'TCP', port: 80 } as const;
  const dns = { name: 'dns', protocol: 'UDP', port: 53 } as const;
  const bed = await planned(
    services([service({ clusterIps: ['10.96.0.10', 'fd96::a'], externalIps: ['203.0.113.7'], ports: [http, dns] })]),
    backends([
      backend('10.0.0.6', {
        ports: [
          { ...http, port: 8080 },
          { ...dns, port: 5353 },
        ],
      }),
      backend('10.0.0.7'),
      backend('10.0.0.8', { terminating: true }),
      backend('fd00::6'),
    ]),
  );
  assert.deepEqual(ports(bed), [
    '10.96.0.10 17 53: 10.0.0.6 5353 | ',
    '10.96.0.10 6 80: 10.0.0.6 8080, 10.0.0.7 8080 | 10.0.0.8 8080',
    '203.0.113.7 17 53: 10.0.0.6 5353 | ',
    '203.0.113.7 6 80: 10.0.0.6 8080, 10.0.0.7 8080 | 10.0.0.8 8080',
    'fd96::a 17 53:  | ',
    'fd96::a 6 80: fd00::6 8080 | ',
  ]);
  const addresses = rowsOf(bed, 'cb_service_1').filter(({ port }) => port === undefined);
  assert.deepEqual(addresses.map(({ address }) => address).sort(), ['10.96.0.10', '203.0.113.7', 'fd96::a']);
  const routes = rowsOf(bed, 'cb_route_2').filter(({ nexthop }) => String(nexthop).startsWith('service scope'));
  assert.deepEqual(routes.map((row) => `${row['router']} ${row['destination']}`).sort(), [
    'router-1 10.96.0.0/16',
    'router-1 203.0.113.7',
    'router-1 fd96::/112',
  ]);
});

test('a Service says its affinity and that only own endpoints count, and what traces call it', async () => {
  const bed = await planned(
    services([service({ affinitySeconds: 60, local: true })]),
    backends([backend('10.0.0.6', { host: 'h1' }), backend('10.0.0.7', { host: 'h2' })]),
  );
  assert.deepEqual(ports(bed), ['10.96.0.10 6 80: 10.0.0.6 8080 | 10.0.0.7 8080']);
  const [row] = rowsOf(bed, 'cb_service_1').filter(({ port }) => port !== undefined);
  assert.deepEqual([row?.['affinity_s'], row?.['own_host_only'], row?.['service']], [60, true, 'default/web']);
});

test('a Service of which own endpoints count, and that has none, drops while there are others, and refuses when there are none', async () => {
  const rows = async (all: Parameters<typeof backends>[0]): Promise<unknown> => {
    const bed = await planned(services([service({ local: true })]), backends(all));
    const [row] = rowsOf(bed, 'cb_service_1').filter(({ port }) => port !== undefined);
    return [row?.['endpoints'], row?.['own_host_only']];
  };
  assert.deepEqual(await rows([backend('10.0.0.7', { host: 'h2' })]), [0, true]);
  assert.deepEqual(await rows([backend('10.0.0.7', { host: 'h2', terminating: true })]), [0, true]);
  assert.deepEqual(await rows([]), [0, false]);
  assert.deepEqual(await rows([backend('fd00::7', { host: 'h2' })]), [0, false], 'of the other version of IP');
});

test('hints of zones are for clients of a node of that zone, as Kubernetes calls it', async () => {
  const counting = async (zone?: string): Promise<readonly string[]> => {
    const bed = createPlanBed();
    const node = zone === undefined ? NODE : { ...NODE, zone };
    bed.plug(node, 50);
    const all = [backend('10.0.0.7', { zoneHints: ['eu-1a'] }), backend('10.0.0.8', { zoneHints: ['nova', 'eu-1b'] })];
    const base = [sampleHost('h1', [node]), sampleNetwork(1), sampleRouter(1, [1])].flat();
    await bed.plan(...base, services([service()]), backends(all));
    return ports(bed);
  };
  assert.deepEqual(await counting(), ['10.96.0.10 6 80: 10.0.0.8 8080 | 10.0.0.7 8080'], 'the availability zone');
  assert.deepEqual(await counting('eu-1a'), ['10.96.0.10 6 80: 10.0.0.7 8080 | 10.0.0.8 8080']);
  assert.deepEqual(await counting('eu-1c'), ['10.96.0.10 6 80: 10.0.0.7 8080, 10.0.0.8 8080 | ']);
});

test('an endpoint that leaves changes the row of its Service and the list, and nothing else', async () => {
  const bed = await planned(services([service()]), backends([backend('10.0.0.6'), backend('10.0.0.7')]));
  const { entries } = await bed.plan(...BASE, services([service()]), backends([backend('10.0.0.6')]));
  assert.deepEqual(entries.map(({ map }) => map).sort(), ['cb_backend_1', 'cb_backend_1', 'cb_service_1']);
  assert.deepEqual(ports(bed), ['10.96.0.10 6 80: 10.0.0.6 8080 | ']);
});

test('long lists are chunks, and what two objects name is one', async () => {
  const all = Array.from({ length: 2 * CB_BACKENDS + 1 }, (_, n) => backend(`10.0.0.${n + 10}`));
  const [, same] = all[0] ?? assert.fail();
  const bed = await planned(services([service()]), backends([...all, ['other/10.0.0.10', same]]));
  assert.equal(rowsOf(bed, 'cb_backend_1').length, 3);
  assert.equal(ports(bed)[0]?.split(', ').length, 2 * CB_BACKENDS + 1);
});

test('Services of the same endpoints have lists of their own, and each the share of its namespace', async () => {
  const other = service({ id: '5e5e5e5e-0000-4000-8000-000000000002', name: 'bank/web', clusterIps: ['10.96.0.11'] });
  const bed = await planned(
    services([service({}), other]),
    backends([backend('10.0.0.6'), ['other/10.0.0.6', backend('10.0.0.6', { serviceId: other.id })[1]]]),
  );
  const rows = rowsOf(bed, 'cb_service_1').filter(({ port }) => port !== undefined);
  assert.equal(new Set(rows.map(({ list }) => list)).size, 2);
  const owners = [...bed.planner.entries.of('cb_service_1').values()].map(({ projectId }) => projectId);
  assert.deepEqual([...new Set(owners)].sort(), ['k, namespace bank,', 'k, namespace default,']);
});

test('Services are in force behind the routers of their scope alone', async () => {
  const bed = await planned(
    services([service({ externalIps: ['203.0.113.7'] })], [2]),
    backends([backend('10.0.0.6')]),
  );
  assert.deepEqual(
    rowsOf(bed, 'cb_route_2').filter(({ nexthop }) => String(nexthop).startsWith('service')),
    [],
  );
});

/** Of a host that is a node behind the router, or is none. */
async function plannedAt(port: typeof PORT, more: Partial<ClusterService>): Promise<PlanBed> {
  const bed = createPlanBed();
  bed.plug(port, 50);
  const all = [backend('10.0.0.6', { host: 'h1' }), backend('10.0.0.7', { host: 'h2' })];
  const base = [sampleHost('h1', [port]), sampleNetwork(1), sampleRouter(1, [1])].flat();
  await bed.plan(...base, services([service(more)]), backends(all));
  return bed;
}

test('a node lets in its node ports, to the address of the Service of each version of IP; another host does not', async () => {
  const http = { protocol: 'TCP', port: 80, nodePort: 30_080 } as const;
  const dual = { clusterIps: ['10.96.0.10', 'fd96::a'], nodePorts: [http] };
  const { planner } = await plannedAt(NODE, dual);
  assert.deepEqual(
    [...planner.entrances.values()],
    [
      { protocol: 'TCP', ipVersion: 4, port: 30_080, to: { address: '10.96.0.10', port: 80 } },
      { protocol: 'TCP', ipVersion: 6, port: 30_080, to: { address: 'fd96::a', port: 80 } },
    ],
  );
  assert.equal((await plannedAt(PORT, dual)).planner.entrances.size, 0);
  const bed = await plannedAt(NODE, dual);
  await bed.plan(sampleHost('h1', [NODE]), sampleNetwork(1), sampleRouter(1, [1]), services([service()]), backends([]));
  assert.equal(bed.planner.entrances.size, 0);
});

test('of two clusters’ Services with one node port the same counts on each node, whichever came first, and the other when it goes', async () => {
  const http = { protocol: 'TCP', port: 80, nodePort: 30_080 } as const;
  const [one, other] = ['10.96.0.10', '10.97.0.10'].map((address, n): SampleSlice => {
    const scope = sampleId('scope', n + 1);
    const own = service({ id: sampleId('svc', n + 2), clusterIps: [address], nodePorts: [http] });
    const header = { scopeId: scope, cidrs: [`${address.slice(0, 5)}.0.0/16`], routerIds: [sampleId('rtr', 1)] };
    return { key: `services:${scope}`, header, items: new Map([[own.id, own]]) };
  });
  assert(one !== undefined && other !== undefined);
  const base = [sampleHost('h1', [NODE]), sampleNetwork(1), sampleRouter(1, [1])].flat();
  for (const [first, second] of [
    [one, other],
    [other, one],
  ] as const) {
    const bed = createPlanBed();
    bed.plug(NODE, 50);
    const led = (): readonly string[] => [...bed.planner.entrances.values()].map(({ to }) => to.address);
    await bed.plan(...base, first);
    await bed.plan(...base, first, second);
    assert.deepEqual(led(), ['10.96.0.10']);
    await bed.plan(...base, other);
    assert.deepEqual(led(), ['10.97.0.10']);
  }
});

test('external addresses and those of the load balancer are let in at the ports of the Service, the latter from where they may', async () => {
  const more = {
    externalIps: ['203.0.113.7'],
    loadBalancerIps: ['198.51.100.20'],
    sourceRanges: ['192.0.2.0/24', 'fd00::/8'],
  };
  const { planner } = await plannedAt(NODE, { ...more, healthCheckNodePort: 32_000 });
  const to = { address: '10.96.0.10', port: 80 };
  assert.deepEqual(
    [...planner.entrances.values()],
    [
      { address: '203.0.113.7', protocol: 'TCP', ipVersion: 4, port: 80, to },
      { address: '198.51.100.20', protocol: 'TCP', ipVersion: 4, port: 80, to, sources: ['192.0.2.0/24'] },
    ],
  );
  assert.deepEqual([...planner.healthPorts.values()], [{ port: 32_000, service: 'default/web', endpoints: 1 }]);
});

test('guests go to an announced address without a node between, unless it is said from where one may', async () => {
  const more = { loadBalancerIps: ['198.51.100.20', '198.51.100.21'], announcedIps: ['198.51.100.20'] };
  const reached = async (about: Partial<ClusterService>): Promise<readonly string[]> => {
    const bed = await planned(services([service({ ...more, ...about })]), backends([backend('10.0.0.6')]));
    const routes = rowsOf(bed, 'cb_route_2').map((row) => String(row['destination']));
    const rows = ports(bed).map((row) => row.split(' ')[0] ?? '');
    assert.equal(routes.includes('198.51.100.20'), rows.includes('198.51.100.20'));
    return rows;
  };
  assert.deepEqual(await reached({}), ['10.96.0.10', '198.51.100.20']);
  assert.deepEqual(await reached({ sourceRanges: ['192.0.2.0/24'] }), ['10.96.0.10']);
});

test('an announced address may be on all nodes, or on those with endpoints that are ready, else with some that terminate; it has no other ports', async () => {
  const address = '198.51.100.20';
  const announced = async (all: Parameters<typeof backends>[0], outerLocal?: true): Promise<unknown> => {
    const bed = createPlanBed();
    bed.plug(NODE, 50);
    const more = {
      loadBalancerIps: [address],
      announcedIps: [address],
      ...(outerLocal === undefined ? {} : { outerLocal }),
    };
    const base = [sampleHost('h1', [NODE]), sampleNetwork(1), sampleRouter(1, [1])].flat();
    await bed.plan(...base, services([service(more)]), backends(all));
    assert.deepEqual([...bed.planner.entrances.values()].map(({ port }) => port).sort(), [0, 80]);
    return [...bed.planner.announced.values()].map(({ hosts }) => hosts?.join() ?? 'all').join(' ');
  };
  const ready = [
    backend('10.0.0.7', { host: 'h2' }),
    backend('10.0.0.8', { host: 'h3' }),
    backend('10.0.0.9', { host: 'h2' }),
  ];
  assert.equal(await announced(ready), 'all');
  assert.equal(await announced(ready, true), 'h2,h3');
  const leaving = backend('10.0.0.6', { host: 'h4', terminating: true });
  assert.equal(await announced([...ready, leaving], true), 'h2,h3');
  assert.equal(await announced([leaving], true), 'h4');
  assert.equal(await announced([], true), '');
  assert.equal(await announced([]), 'all');
});

test('what is for endpoints of this host alone, and the host is the one, goes to it as it came', async () => {
  const own = NODE.fixedIps[0]?.ipAddress ?? '';
  const entrance = async (all: Parameters<typeof backends>[0], outerLocal?: true): Promise<unknown> => {
    const bed = createPlanBed();
    bed.plug(NODE, 50);
    const nodePorts = [{ protocol: 'TCP', port: 80, nodePort: 30_080 }] as const;
    const more = { nodePorts, ...(outerLocal === undefined ? {} : { outerLocal }) };
    const base = [sampleHost('h1', [NODE]), sampleNetwork(1), sampleRouter(1, [1])].flat();
    await bed.plan(...base, services([service(more)]), backends(all));
    return [...bed.planner.entrances.values()].map(({ to }) => `${to.address} ${to.port}`).join();
  };
  const itself = backend(own, { host: 'h1' });
  assert.equal(await entrance([itself], true), `${own} 8080`);
  assert.equal(await entrance([itself, backend('10.0.0.7', { host: 'h2' })], true), `${own} 8080`);
  assert.equal(await entrance([itself, backend('10.0.0.9', { host: 'h1' })], true), '10.96.0.10 80', 'beside a pod');
  assert.equal(await entrance([itself]), '10.96.0.10 80');
  assert.equal(await entrance([], true), '10.96.0.10 80');
});

test('an endpoint that is this host is heard where it listens, whatever Service it is of, and is led there at once where it is the only one', async () => {
  const own = NODE.fixedIps[0]?.ipAddress ?? '';
  const base = [sampleHost('h1', [NODE]), sampleNetwork(1), sampleRouter(1, [1])].flat();
  const entrances = async (port: typeof NODE, more: Partial<ClusterService>, hostAddress: string): Promise<unknown> => {
    const bed = createPlanBed();
    bed.plug(port, 50);
    const at = port === NODE ? base : [sampleHost('h1', [port]), sampleNetwork(1), sampleRouter(1, [1])].flat();
    const all = [backend(own, { host: 'h1', hostAddress }), backend('10.0.0.9', { host: 'h2', hostAddress })];
    await bed.plan(...at, services([service(more)]), backends(all));
    return [...bed.planner.entrances.values()].map(({ address = 'any', port: from, isEndpoint, to }) =>
      [isEndpoint === true ? 'own' : 'in', address, from, to.address, to.port].join(' '),
    );
  };
  const itself = `own ${own} 8080 192.0.2.1 8080`;
  assert.deepEqual(await entrances(NODE, {}, '192.0.2.1'), [itself]);
  assert.deepEqual(await entrances(NODE, { clusterIps: [] }, '192.0.2.1'), [itself], 'a headless Service');
  assert.deepEqual(await entrances(PORT, {}, '192.0.2.1'), [], 'a host that is no node');
  assert.deepEqual(await entrances(NODE, {}, 'fd00::1'), [], 'of the other version of IP');
  const nodePorts = [{ protocol: 'TCP', port: 80, nodePort: 30_080 }] as const;
  const beside = await entrances(NODE, { nodePorts, outerLocal: true }, '192.0.2.1');
  assert.deepEqual(beside, [itself, 'in any 30080 192.0.2.1 8080']);
});

test('what a node lets in has rows of its own only where other endpoints count for it', async () => {
  const nodePorts = [{ protocol: 'TCP', port: 80, nodePort: 30_080 }] as const;
  const outer = async (more: Partial<ClusterService>): Promise<readonly string[]> =>
    rowsOf(await plannedAt(NODE, { nodePorts, ...more }), 'cb_service_1')
      .filter(({ port, scope }) => port !== undefined && String(scope).endsWith('from outside'))
      .map(({ endpoints, own_host_only }) => `${endpoints} ${own_host_only}`);
  assert.deepEqual(await outer({}), []);
  assert.deepEqual(await outer({ outerLocal: true }), ['1 true']);
  assert.deepEqual(await outer({ local: true }), ['2 false']);
  assert.deepEqual(await outer({ outerLocal: true, nodePorts: [] }), []);
});
