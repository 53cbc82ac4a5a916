/** Services and EndpointSlices in Cable, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { KubeKind, KubeObject } from '@cable/kube';
import type { AnyObject } from '@cable/model';
import { EVENTS, SERVICE_CIDRS, SERVICES, SLICES, startWorld, until, type World } from './world.ts';

const PORTS = [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 }];

function service(name: string, clusterIPs: readonly string[], more: object = {}): KubeObject {
  const spec = { clusterIP: clusterIPs[0], clusterIPs, ports: PORTS, ...more };
  return { metadata: { name, namespace: 'shop' }, spec } as KubeObject;
}

function slice(name: string, of: string, endpoints: readonly object[], more: object = {}): KubeObject {
  const metadata = { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': of } };
  const ports = [{ name: 'http', protocol: 'TCP', port: 8080 }];
  return { metadata, addressType: 'IPv4', ports, endpoints, ...more } as KubeObject;
}

type Event = KubeObject & {
  readonly involvedObject: { readonly kind: string; readonly name: string };
  readonly reason: string;
  readonly message: string;
  readonly count: number;
};

const listed =
  (type: string) =>
  ({ cable }: World): Promise<readonly AnyObject[]> =>
    cable.list(type) as Promise<readonly AnyObject[]>;
const servicesOf = listed('service');
const setsOf = listed('endpoint_set');

function endpointsIn(sets: readonly AnyObject[]): readonly string[] {
  return sets.flatMap((one) => (one['endpoints'] as { address: string }[]).map(({ address }) => address)).sort();
}

test('a Service and its endpoints are there, change, and go', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  world.control('a');
  await world.node('node-1');
  await world.pod('web', { node: 'node-1' });
  const port = (await world.ports((found) => found.has('web'))).get('web');
  const address = port?.fixed_ips[0]?.ip_address ?? '';
  // The slice may be seen before its Service.
  const endpoint = {
    addresses: [address],
    nodeName: 'node-1',
    targetRef: { kind: 'Pod', namespace: 'shop', name: 'web' },
  };
  await kube.create(SLICES, slice('web-1', 'web', [{ ...endpoint, conditions: { ready: true } }]));
  await kube.create(
    SERVICES,
    service('web', ['10.96.0.10'], { sessionAffinity: 'ClientIP', internalTrafficPolicy: 'Local' }),
  );
  await kube.create(SERVICES, service('headless', ['None']));
  await kube.create(SERVICES, service('elsewhere', [], { type: 'ExternalName', externalName: 'example.org' }));
  const [set] = await until(
    () => setsOf(world),
    (found) => found.length === 1,
  );
  const all = await until(
    () => servicesOf(world),
    (found) => found.length === 3,
  );
  assert.deepEqual(all.map((one) => [one['name'], one['cluster_ips'], one['external_name']]).sort(), [
    ['shop/elsewhere', [], 'example.org'],
    ['shop/headless', [], ''],
    ['shop/web', ['10.96.0.10'], ''],
  ]);
  const services = all.filter((one) => one['name'] === 'shop/web');
  assert.deepEqual(
    services.map((one) => [one['session_affinity'], one['internal_traffic_policy']]),
    [['ClientIP', 'Local']],
  );
  const [told] = (set?.['endpoints'] ?? []) as Record<string, unknown>[];
  assert.deepEqual(told, {
    ...{
      address,
      port_id: port?.id,
      host_id: 'node-1',
      host_address: null,
      hostname: '',
      ready: true,
      serving: true,
      terminating: false,
    },
    ...{ zone_hints: [], host_hints: [] },
  });
  const leaving = { ...endpoint, conditions: { ready: false, serving: true, terminating: true } };
  const hinted = { addresses: ['10.244.0.99'], conditions: {}, hints: { forZones: [{ name: 'b' }] } };
  await kube.patch(SLICES, { namespace: 'shop', name: 'web-1' }, { endpoints: [leaving, hinted] });
  const [changed] = await until(
    () => setsOf(world),
    (found) => endpointsIn(found).length === 2,
  );
  assert.deepEqual(
    ((changed?.['endpoints'] ?? []) as Record<string, unknown>[]).map((one) => [
      one['ready'],
      one['serving'],
      one['terminating'],
      one['zone_hints'],
    ]),
    [
      [false, true, true, []],
      [true, true, false, ['b']],
    ],
  );
  await kube.patch(SERVICES, { namespace: 'shop', name: 'web' }, { spec: { sessionAffinity: 'None' } });
  await until(
    () => servicesOf(world),
    (found) => found.some((one) => one['name'] === 'shop/web' && one['session_affinity'] === 'None'),
  );
  await kube.delete(SLICES, { namespace: 'shop', name: 'web-1' });
  await until(
    () => setsOf(world),
    (found) => found.length === 0,
  );
  // Made anew under its name, with the address of the one before.
  await kube.delete(SERVICES, { namespace: 'shop', name: 'web' });
  await kube.create(SERVICES, service('web', ['10.96.0.10']));
  await kube.create(SLICES, slice('web-2', 'web', [endpoint]));
  await until(
    () => setsOf(world),
    (found) => found.some((one) => one['name'] === 'shop/web-2'),
  );
  const anew = (await servicesOf(world)).find((one) => one['name'] === 'shop/web');
  // What is another proxy's is served here no more, and is named all the same; slices of a headless Service are for names.
  const labelled = (kind: KubeKind, name: string, label: string, value: string | null) =>
    kube.patch(
      kind,
      { namespace: 'shop', name },
      { metadata: { labels: { [`service.kubernetes.io/${label}`]: value } } },
    );
  const setsAre = (...names: readonly string[]) =>
    until(
      () => setsOf(world),
      (found) =>
        found
          .map((one) => one['name'])
          .sort()
          .join() === names.join(),
    );
  await kube.create(SLICES, slice('headless-1', 'headless', [endpoint]));
  await setsAre('shop/headless-1', 'shop/web-2');
  await labelled(SLICES, 'headless-1', 'headless', '');
  await labelled(SERVICES, 'web', 'service-proxy-name', 'other');
  await setsAre('shop/headless-1');
  await labelled(SERVICES, 'web', 'service-proxy-name', null);
  await setsAre('shop/headless-1', 'shop/web-2');
  await labelled(SLICES, 'web-2', 'headless', '');
  await setsAre('shop/headless-1');
  assert.ok((await servicesOf(world)).some((one) => one['name'] === 'shop/web'));
  assert.notEqual(anew?.id, services[0]?.id);
  for (const name of ['web', 'headless', 'elsewhere']) await kube.delete(SERVICES, { namespace: 'shop', name });
  await until(
    async () => [...(await servicesOf(world)), ...(await setsOf(world))],
    (found) => found.length === 0,
  );
});

test('what changed while no controller ran is found, and what is refused is an event', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  const first = world.control('a');
  for (const [at, name] of ['stays', 'goes'].entries()) {
    await kube.create(SERVICES, service(name, [`10.96.0.${at + 1}`]));
    await kube.create(SLICES, slice(`${name}-1`, name, [{ addresses: [`10.244.0.${at + 1}`] }]));
  }
  await until(
    () => setsOf(world),
    (found) => found.length === 2,
  );
  await first.stop();
  await kube.delete(SERVICES, { namespace: 'shop', name: 'goes' });
  await kube.delete(SLICES, { namespace: 'shop', name: 'goes-1' });
  await kube.patch(SLICES, { namespace: 'shop', name: 'stays-1' }, { endpoints: [{ addresses: ['10.244.0.7'] }] });
  await kube.create(SERVICES, service('taken', ['10.96.0.2'], { externalIPs: ['198.51.100.7', '203.0.113.7'] }));
  world.control('b');
  await until(
    () => setsOf(world),
    (found) => endpointsIn(found).join() === '10.244.0.7',
  );
  const services = await until(
    () => servicesOf(world),
    // The one that goes may have its address for a moment.
    (found) => found.some((one) => one['name'] === 'shop/taken' && String(one['external_ips']) === '198.51.100.7'),
  );
  assert.deepEqual(
    services.map((one) => one['name']).sort(),
    ['shop/stays', 'shop/taken'],
    'the address of the one that went is free',
  );
  await kube.create(SERVICES, service('outside', ['192.0.2.1']));
  const events = await until(
    async () =>
      (await kube.list<KubeObject & { message: string }>(EVENTS, { namespace: 'shop' })).items.map(
        ({ message }) => message,
      ),
    (found) => found.some((one) => one.includes('192.0.2.1')),
  );
  assert.ok(
    events.some((one) => one.includes('203.0.113.7')),
    String(events),
  );
  assert.ok(
    events.some((one) => one.includes('192.0.2.1')),
    String(events),
  );
});

test('an address or node port that another Service has costs a Service nothing else', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  world.control('a');
  await kube.create(SERVICES, service('first', ['10.96.0.1'], { externalIPs: ['198.51.100.7'] }));
  await until(
    () => servicesOf(world),
    (found) => found.length === 1,
  );
  await kube.create(SERVICES, service('second', ['10.96.0.2'], { externalIPs: ['198.51.100.7'] }));
  await kube.create(SLICES, slice('second-1', 'second', [{ addresses: ['10.244.0.1'] }]));
  await until(
    () => setsOf(world),
    (found) => endpointsIn(found).join() === '10.244.0.1',
  );
  const second = async (): Promise<readonly unknown[]> => {
    const found = (await servicesOf(world)).find((one) => one['name'] === 'shop/second');
    return [found?.['cluster_ips'], found?.['external_ips'], found?.['ports']];
  };
  const port = { name: 'http', protocol: 'TCP', port: 80, node_port: null };
  assert.deepEqual(await second(), [['10.96.0.2'], [], [port]]);
  await until(
    async () => JSON.stringify((await kube.list<KubeObject>(EVENTS, { namespace: 'shop' })).items),
    (found) => found.includes('NotServedOutside') && found.includes('198.51.100.7'),
  );
  // It gets what else is asked for, and keeps what it has.
  const change = (name: string, spec: object): Promise<KubeObject> =>
    kube.patch(SERVICES, { namespace: 'shop', name }, { spec });
  await change('second', { ports: [{ ...PORTS[0], nodePort: 30_080 }] });
  await until(second, (found) => isDeepStrictEqual(found[2], [{ ...port, node_port: 30_080 }]));
  await change('first', { ports: [{ ...PORTS[0], nodePort: 30_080 }] });
  await change('second', { externalIPs: ['198.51.100.7'], ports: [{ ...PORTS[0], port: 81, nodePort: 30_080 }] });
  await until(second, (found) => isDeepStrictEqual(found[2], [{ ...port, port: 81, node_port: 30_080 }]));
  // The one goes: the other has it.
  await kube.delete(SERVICES, { namespace: 'shop', name: 'first' });
  await until(second, (found) => isDeepStrictEqual(found[1], ['198.51.100.7']));
});

test('a port of SCTP that its endpoints have elsewhere is not served, the others are', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  world.control('a');
  const calls = { name: 'calls', protocol: 'SCTP', port: 5060 };
  await kube.create(SERVICES, service('both', ['10.96.0.1'], { ports: [...PORTS, calls] }));
  const ports = [
    { name: 'http', protocol: 'TCP', port: 8080 },
    { ...calls, port: 5062 },
  ];
  await kube.create(SLICES, slice('both-1', 'both', [{ addresses: ['10.244.0.1'] }], { ports }));
  const [set] = await until(
    () => setsOf(world),
    (found) => found.length === 1,
  );
  assert.deepEqual(set?.['ports'], ports.slice(0, 1));
  await until(
    async () => JSON.stringify((await kube.list<KubeObject>(EVENTS, { namespace: 'shop' })).items),
    (found) => found.includes('SctpPortNotServed') && found.includes('5062'),
  );
  await kube.patch(SLICES, { namespace: 'shop', name: 'both-1' }, { ports: [ports[0], calls] });
  await until(
    () => setsOf(world),
    ([one]) => isDeepStrictEqual(one?.['ports'], [ports[0], calls]),
  );
});

test('a load balancer gets an address of the pool, keeps it over another controller, and gives it back', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  const first = world.control('a', { loadBalancerCidrs: ['192.0.2.240/30'] });
  const create = (name: string, at: number, more: object = {}): Promise<KubeObject> =>
    kube.create(SERVICES, service(name, [`10.96.0.${at}`], { type: 'LoadBalancer', ...more }));
  type Balanced = KubeObject & {
    readonly status?: { readonly loadBalancer?: { readonly ingress?: { ip: string }[] } };
  };
  const ips = async (): Promise<Readonly<Record<string, string>>> => {
    const { items } = await kube.list<Balanced>(SERVICES, { namespace: 'shop' });
    const told = items.map(({ metadata, status }) => [metadata.name, status?.loadBalancer?.ingress?.[0]?.ip ?? '']);
    return Object.fromEntries(told);
  };
  await create('one', 1, { loadBalancerIP: '192.0.2.242' });
  await create('class', 3, { loadBalancerClass: 'example.org/other' });
  await create('two', 2);
  await until(ips, ({ one, two }) => one === '192.0.2.242' && two === '192.0.2.241');
  await until(
    () => servicesOf(world),
    (found) => found.some((one) => String(one['load_balancer_ips']) === '192.0.2.241'),
  );
  await create('late', 4);
  await first.stop();
  await kube.delete(SERVICES, { namespace: 'shop', name: 'one' });
  world.control('b', { loadBalancerCidrs: ['192.0.2.240/30'] });
  const after = await until(ips, ({ late }) => late === '192.0.2.242');
  assert.deepEqual(after, { class: '', two: '192.0.2.241', late: '192.0.2.242' });
  await kube.patch(SERVICES, { namespace: 'shop', name: 'two' }, { spec: { type: 'ClusterIP' } });
  await until(ips, ({ two }) => two === '');
});

test('Services have addresses of ServiceCIDR objects, too, as soon as these are there', async (t) => {
  const world = await startWorld(t);
  const { kube, cable } = world;
  world.control('a');
  await kube.create(SERVICES, service('web', ['10.96.0.10']));
  await kube.create(SERVICES, service('more', ['10.200.0.10']));
  await until(
    () => servicesOf(world),
    (found) => found.length === 1,
  );
  // One that overlaps the prefix of pods stops nothing.
  for (const [name, cidr] of [
    ['kubernetes', '10.96.0.0/12'],
    ['wrong', '10.244.3.0/24'],
    ['second', '10.200.0.0/16'],
  ]) {
    await kube.create(SERVICE_CIDRS, { metadata: { name }, spec: { cidrs: [cidr] } } as KubeObject);
  }
  await until(
    () => servicesOf(world),
    (found) => found.length === 2,
  );
  const told = async (): Promise<readonly (readonly unknown[])[]> => {
    const { items } = await kube.list<Event>(EVENTS, { namespace: 'default' });
    const own = items.filter((one) => one.involvedObject.kind === 'ServiceCIDR');
    return own.map((one) => [one.involvedObject.name, one.reason, one.message, one.count]);
  };
  const why = '10.244.3.0/24: it overlaps 10.244.0.0/16, where pods or nodes have addresses';
  assert.deepEqual(await until(told, (found) => found.length > 0), [
    ['wrong', 'NotServed', `Services of it are not served: ${why}`, 1],
  ]);
  const [scope] = (await cable.list('service_scope')) as readonly AnyObject[];
  assert.deepEqual(scope?.['cidrs'], ['10.96.0.0/12', '10.200.0.0/16']);
  const [nodes] = await cable.list('subnet', { 'cable:origin': 'Subnet/nodes-ipv4' });
  assert.ok(
    nodes?.host_routes.some(({ destination }) => destination === '10.200.0.0/16'),
    'nodes have the route',
  );
  const scopes = async (): Promise<readonly AnyObject[]> => (await cable.list('service_scope')) as readonly AnyObject[];
  // As where somebody removes the finalizer that keeps it.
  await kube.delete(SERVICE_CIDRS, { name: 'second' });
  await until(
    () => cable.list('subnet', { 'cable:origin': 'Subnet/nodes-ipv4' }),
    ([subnet]) => subnet?.host_routes.every(({ destination }) => destination !== '10.200.0.0/16') === true,
  );
  assert.deepEqual((await scopes())[0]?.['cidrs'], ['10.96.0.0/12', '10.200.0.0/16'], 'a Service has an address there');
  await kube.create(SERVICE_CIDRS, { metadata: { name: 'second' }, spec: { cidrs: ['10.200.0.0/16'] } } as KubeObject);
  await until(
    () => cable.list('subnet', { 'cable:origin': 'Subnet/nodes-ipv4' }),
    ([subnet]) => subnet?.host_routes.some(({ destination }) => destination === '10.200.0.0/16') === true,
  );
  await kube.delete(SERVICES, { namespace: 'shop', name: 'more' });
  await until(
    () => servicesOf(world),
    (found) => found.length === 1,
  );
  await kube.delete(SERVICE_CIDRS, { name: 'second' });
  await until(scopes, ([one]) => String(one?.['cidrs']) === '10.96.0.0/12');
  // More than a scope takes stop nothing.
  const cidrs = Array.from({ length: 20 }, (_, n) => `10.200.${n}.0/24`);
  await kube.create(SERVICE_CIDRS, { metadata: { name: 'many' }, spec: { cidrs } } as KubeObject);
  await kube.create(SERVICES, service('last', ['10.200.3.10']));
  await until(
    () => servicesOf(world),
    (found) => found.length === 2,
  );
});
