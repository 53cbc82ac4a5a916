/** How much of the Services of VPCs is looked at, and written, when one endpoint is another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type Client } from '@cable/api';
import { silentLogger } from '@cable/kit';
import type { AnyObject } from '@cable/model';
import type { PortFacts } from './port-book.ts';
import { type EndpointFacts, type ServiceFacts, type SliceFacts, serviceFacts } from './service-facts.ts';
import { SliceParts } from './slice-parts.ts';
import { VpcServices } from './vpc-services.ts';

const SLICES = 10;
const ENDPOINTS = 100;

const podOf = (slice: number, at: number): string => `shop/p-${slice}-${at}`;
const legOf = (slice: number, at: number): string => `10.244.${slice}.${at}`;

function endpoint(slice: number, at: number): EndpointFacts {
  const said = { ready: true, serving: true, terminating: false, zone_hints: [], host_hints: [] };
  return { address: legOf(slice, at), pod: podOf(slice, at), host_id: 'n1', hostname: '', ...said };
}

/** A leg, and the port in the VPC that goes with it. */
function portsOf(slice: number, at: number): readonly PortFacts[] {
  const facts = { projectId: 'prod.shop', networkId: 'net-1' } as PortFacts;
  const uid = `uid-${slice}-${at}`;
  const leg = { deviceOwner: 'kubernetes:leg', deviceId: `${uid}:eth0`, addresses: [legOf(slice, at)] };
  const own = { deviceOwner: 'kubernetes:pod', deviceId: `${uid}:vpc0`, addresses: [`10.1.${slice}.${at}`] };
  return [
    { ...facts, id: `leg-${uid}`, ...leg },
    { ...facts, id: `own-${uid}`, ...own },
  ];
}

function sliceOf(slice: number): SliceFacts {
  const endpoints = Array.from({ length: ENDPOINTS }, (_, at) => endpoint(slice, at));
  const name = `web-${slice}`;
  const ports = [{ name: '', protocol: 'TCP', port: 80 }];
  return { namespace: 'shop', name, uid: name, service: 'shop/web', ports, endpoints, isUnserved: false, vpc: '' };
}

/** A server that keeps what it is given. */
function server({ subnets, others }: Required<Pick<Bed, 'subnets' | 'others'>>) {
  const rows = new Map<string, AnyObject>();
  const written: string[] = [];
  const put = (type: string, id: string, body: object): AnyObject => {
    written.push(type);
    const row = { ...rows.get(id), ...body, id } as AnyObject;
    rows.set(id, row);
    return row;
  };
  const client = {
    get: async (_type: string, id: string) => {
      const row = rows.get(id);
      if (row === undefined) throw new ApiError(404, 'NotFound', 'it is not there', '');
      return row;
    },
    list: async (type: string, query: Readonly<Record<string, string>>) => {
      if (type === 'subnet') return subnets;
      if (type === 'router')
        return subnets.filter(({ router }) => router === query['name']).map(({ router: id }) => ({ id }));
      if (type !== 'port') return [];
      const address = query['fixed_ips']?.replace('ip_address=', '') ?? '';
      return (others[address] ?? []).map((id) => ({ id, network_id: id }));
    },
    create: async (type: string, body: { readonly id: string }) => put(type, body.id, body),
    update: async (type: string, id: string, body: object) => put(type, id, body),
    delete: async () => undefined,
  } as unknown as Client;
  return { client, written, rows };
}

type Bed = {
  readonly slices: Map<string, SliceFacts>;
  readonly ports?: ReadonlyMap<string, readonly PortFacts[]>;
  /** Of the project; `router`: of its network. */
  readonly subnets?: readonly (AnyObject & { readonly router: string })[];
  /** Ports of the project that no pod has, by address. */
  readonly others?: Readonly<Record<string, readonly string[]>>;
};

/** Services of VPCs beside a server that keeps what it is given, with the Service shop/web. */
function bed({ slices, ports = new Map(), subnets = [], others = {} }: Bed) {
  const { client, written, rows } = server({ subnets, others });
  const stop = new AbortController();
  const spec = { clusterIP: '10.96.0.10', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] };
  let web: ServiceFacts = serviceFacts({ metadata: { namespace: 'shop', name: 'web', uid: 'u1' }, spec }, false);
  let asked = 0;
  let queued = 0;
  let done = 0;
  let failure: unknown;
  let nowMs = 0;
  const told: string[] = [];
  const services = new VpcServices({
    cable: { own: client, as: () => client },
    kube: { get: () => assert.fail('nothing is asked of the API server') },
    services: { get: (key) => (key === 'shop/web' ? web : undefined), keys: () => ['shop/web'] },
    slices,
    slicesOf: () => [...slices.keys()],
    sliceAgain: () => undefined,
    ports: {
      ofPod: (key) => {
        asked += 1;
        return ports.get(key) ?? [];
      },
    },
    legs: {
      vpcOf: async (id) => {
        const routerId = subnets.find((one) => one['network_id'] === id)?.router ?? 'r1';
        return { id: routerId, routerId, cidrs: [] };
      },
    },
    projectOf: () => 'prod.shop',
    ...{ cluster: 'prod', clusterUid: 'c1', serviceCidrs: ['10.96.0.0/12'], podCidrs: ['10.244.0.0/16'] },
    clusterDomain: 'cluster.local',
    events: {
      warn: async ({ name }, reason, message) => {
        told.push(`${name} ${reason}: ${message}`);
      },
      well: () => undefined,
    },
    guarded: (work) => async (key) => {
      queued += 1;
      await work(key).catch((err: unknown) => {
        failure = err;
      });
      done += 1;
    },
    log: silentLogger(),
    signal: stop.signal,
    nowMs: () => nowMs,
  });
  /** What was asked of ports, and written, until the Service was looked at. */
  const after = async (change: () => void): Promise<readonly [asked: number, ...written: string[]]> => {
    const before = done;
    asked = 0;
    written.length = 0;
    told.length = 0;
    change();
    for (let quiet = 0; quiet < 20; quiet += 1) {
      if (done === before || queued > done) quiet = 0;
      await new Promise(setImmediate);
    }
    assert.equal(failure, undefined);
    return [asked, ...written];
  };
  services.open();
  return {
    ...{ services, after, rows, told },
    later: (ms: number) => {
      nowMs += ms;
    },
    /** It has no ClusterIP any more. */
    end: () => {
      web = { ...web, body: undefined };
    },
    stop: () => stop.abort(),
  };
}

test('of a thousand endpoints those of one slice are looked at, and one is written, when one pod gets another port', {
  timeout: 120_000,
}, async () => {
  const ports = new Map<string, readonly PortFacts[]>();
  const slices = new Map<string, SliceFacts>();
  for (let slice = 0; slice < SLICES; slice += 1) {
    slices.set(`shop/web-${slice}`, sliceOf(slice));
    for (let at = 0; at < ENDPOINTS; at += 1) ports.set(podOf(slice, at), portsOf(slice, at));
  }
  const { services, after, rows, stop } = bed({ slices, ports });
  const all = SLICES * ENDPOINTS;
  const sets = Array.from({ length: SLICES }, () => 'endpoint_set');
  assert.deepEqual(await after(() => services.serviceChanged('shop/web')), [all, 'service_scope', 'service', ...sets]);
  assert.deepEqual(await after(() => services.serviceChanged('shop/web')), [0], 'nothing is different');
  for (const key of ports.keys()) services.podChanged(key);
  await after(() => services.serviceChanged('shop/web'));

  const [leg, own] = portsOf(3, 7) as [PortFacts, PortFacts];
  ports.set(podOf(3, 7), [leg, { ...own, id: 'own-other', addresses: ['10.1.3.207'] }]);
  const [reads, ...writes] = await after(() => services.podChanged(podOf(3, 7)));
  // Once to see that it is different, and those of the slice.
  assert.deepEqual([reads, writes], [1 + ENDPOINTS, ['endpoint_set']]);
  const written = [...rows.values()].flatMap((row) => (row['endpoints'] as { readonly address: string }[]) ?? []);
  assert.deepEqual([written.length, written.filter(({ address }) => address === '10.1.3.207').length], [all, 1]);

  const changed = { ...sliceOf(5), ports: [{ name: '', protocol: 'TCP', port: 81 }] };
  const [again, ...others] = await after(() => {
    slices.set('shop/web-5', changed);
    services.sliceChanged('shop/web-5');
  });
  assert.deepEqual([again, others], [ENDPOINTS, ['endpoint_set']]);
  stop();
});

test('nothing is known any more of a VPC that has no Services', async () => {
  const slices = new Map([['shop/web-0', sliceOf(0)]]);
  const ports = new Map(Array.from({ length: ENDPOINTS }, (_, at) => [podOf(0, at), portsOf(0, at)] as const));
  const { services, after, end, stop } = bed({ slices, ports });
  await after(() => services.serviceChanged('shop/web'));
  assert.equal(services.size, 1);
  await services.load();
  end();
  await after(() => services.serviceChanged('shop/web'));
  await services.load();
  assert.equal(services.size, 0);
  stop();
});

test('an address that several VPCs have is in the one that the slice names, or where a port has it, and in none otherwise', async () => {
  const subnets = ['blue', 'green'].map((router) => ({
    ...{ id: router, router, network_id: `net-${router}`, cidr: '10.1.0.0/24' },
  })) as never;
  const vm = { ...endpoint(0, 0), pod: '', address: '10.1.0.60' };
  for (const [others, vpc, wanted] of [
    [{}, '', 'none'],
    [{ '10.1.0.60': ['net-green'] }, '', 'green'],
    [{ '10.1.0.60': ['net-green', 'net-blue'] }, '', 'none'],
    [{ '10.1.0.60': ['net-green', 'net-blue'] }, 'blue', 'blue'],
    [{}, 'green', 'green'],
    [{}, 'red', 'none'],
  ] as const) {
    const slices = new Map([['shop/web-0', { ...sliceOf(0), endpoints: [vm], vpc }]]);
    const { services, after, rows, told, stop } = bed({ slices, subnets, others });
    await after(() => services.serviceChanged('shop/web'));
    const scope = [...rows.values()].find((row) => row['router_ids'] !== undefined);
    assert.equal(String(scope?.['router_ids'] ?? 'none'), wanted);
    assert.equal(await services.isWithin('shop', '10.1.0.60'), true, 'the cluster’s own scope leaves it out');
    const text = told.join();
    if (wanted !== 'none') assert.equal(text, '');
    else if (vpc === '')
      assert.match(text, /web-0 VpcUnclear: 10\.1\.0\.60 is in several Vpcs \(blue, green\).*cable\.io\/vpc/);
    else assert.match(text, /10\.1\.0\.60 is in no Vpc red/);
    stop();
  }
});

test('what was found of a slice counts until its time is over, it is another, or a pod of it has other ports, also while it is looked at', () => {
  const parts = new SliceParts<string>();
  const [facts, other] = [{}, {}];
  const find = (value: string, pods: readonly string[], during = (): void => {}): void => {
    const look = parts.begin('s', facts, new Set(pods));
    during();
    parts.end('s', look, value, 10);
  };
  find('a', ['p', 'q']);
  assert.deepEqual(
    [parts.get('s', facts, 9), parts.get('s', facts, 10), parts.get('s', other, 9)],
    ['a', undefined, undefined],
  );
  assert.deepEqual(parts.podChanged('p'), ['s']);
  assert.equal(parts.get('s', facts, 0), undefined);
  find('b', ['q'], () => parts.podChanged('q'));
  assert.equal(parts.get('s', facts, 0), undefined, 'it may have been looked at before');
  assert.deepEqual(parts.podChanged('p'), [], 'it is none of the slice any more');
  find('c', ['q'], () => parts.clear());
  assert.equal(parts.get('s', facts, 0), undefined);
  find('d', ['q']);
  parts.forget('s');
  assert.deepEqual([parts.get('s', facts, 0), parts.podChanged('q')], [undefined, []]);
});
