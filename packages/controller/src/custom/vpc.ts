/** `Vpc`: a router, between the Subnets that name it. */
import { isDeepStrictEqual } from 'node:util';
import { type AnyObject, ROUTER_POLICIES_MAX } from '@cable/model';
import { isRefusal } from '../cable-access.ts';
import { given, notAdoptable, onlyRow } from './adoption.ts';
import { type Declaration, reference } from './definition.ts';
import { canonical } from './subnet-ranges.ts';
import { vpcOf } from './views.ts';
import { type CustomKind, type Described, type Outcome, twice, Unmet, unmetBy, type Work } from './work.ts';

export type PolicyRoute = {
  readonly priority: number;
  readonly action: 'allow' | 'drop' | 'reroute';
  readonly nextHop?: string;
  readonly subnet?: string;
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: string;
  readonly portRangeMin?: number;
  readonly portRangeMax?: number;
};

type Peering = {
  readonly name: string;
  readonly vpc?: { readonly namespace?: string; readonly name: string };
  readonly routerID?: string;
  readonly subnets?: readonly string[];
  readonly acceptedPrefixes?: readonly string[];
};

type Spec = {
  readonly description?: string;
  readonly staticRoutes?: readonly { readonly cidr: string; readonly nextHop: string }[];
  readonly policyRoutes?: readonly PolicyRoute[];
  readonly peerings?: readonly Peering[];
  readonly externalGateway?: { readonly network: string };
};

const ROUTES_MAX = 30;
const PREFIX = { type: 'string', minLength: 1, maxLength: 49 } as const;
const ADDRESS = { type: 'string', minLength: 1, maxLength: 45 } as const;
const PORT = { type: 'integer', minimum: 1, maximum: 65535 } as const;

const DECLARED: Declaration = {
  ...{ kind: 'Vpc', plural: 'vpcs', singular: 'vpc', shortNames: ['vpc'] },
  description: 'A network of one’s own: a router between Subnets, whose addresses others may have as well.',
  spec: {
    type: 'object',
    description: 'What the router does.',
    properties: {
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      staticRoutes: {
        ...{ type: 'array', maxItems: ROUTES_MAX },
        description: 'Routes besides those to its Subnets.',
        items: {
          type: 'object',
          description: 'One route. Several to one prefix share its connections.',
          required: ['cidr', 'nextHop'],
          properties: {
            cidr: { ...PREFIX, description: 'Where to.' },
            nextHop: { ...ADDRESS, description: 'An address in one of its Subnets.' },
          },
        },
      },
      policyRoutes: {
        ...{ type: 'array', maxItems: 64 },
        description: 'What goes otherwise than routes say; the highest priority that matches counts.',
        items: {
          type: 'object',
          description: 'One of them. What is not said matches anything.',
          required: ['priority', 'action'],
          properties: {
            priority: { type: 'integer', minimum: 0, maximum: 32767, description: 'No two have the same.' },
            action: {
              ...{ type: 'string', enum: ['allow', 'drop', 'reroute'] },
              description: 'allow: by the routes; drop: nowhere; reroute: to nextHop.',
            },
            nextHop: { ...ADDRESS, description: 'Of reroute: an address in one of its Subnets.' },
            subnet: reference('Only what comes from this Subnet, of one version of IP.'),
            source: { ...PREFIX, description: 'Only what comes from there.' },
            destination: { ...PREFIX, description: 'Only what goes there.' },
            protocol: { type: 'string', minLength: 1, maxLength: 16, description: 'Name or IANA number.' },
            portRangeMin: { ...PORT, description: 'First destination port.' },
            portRangeMax: { ...PORT, description: 'Last destination port.' },
          },
          'x-kubernetes-validations': [
            { rule: "(self.action == 'reroute') == has(self.nextHop)", message: 'reroute has a nextHop, others none' },
          ],
        },
      },
      peerings: {
        ...{ type: 'array', maxItems: 32 },
        description: 'Vpcs with which it has a way to each other’s Subnets, once the other one says the same.',
        items: {
          type: 'object',
          description: 'This side of one.',
          required: ['name'],
          properties: {
            name: { type: 'string', minLength: 1, maxLength: 255, description: 'No two have the same.' },
            vpc: {
              type: 'object',
              description: 'The other one, of this cluster.',
              required: ['name'],
              properties: {
                namespace: { type: 'string', minLength: 1, maxLength: 63, description: 'Absent: this namespace.' },
                name: { type: 'string', minLength: 1, maxLength: 253, description: 'Its name.' },
              },
            },
            routerID: { type: 'string', minLength: 36, maxLength: 36, description: 'The other one, any router.' },
            subnets: {
              ...{ type: 'array', maxItems: 32, items: reference('A Subnet of this Vpc.') },
              description: 'What it lets the other side reach; absent: nothing.',
            },
            acceptedPrefixes: {
              ...{ type: 'array', maxItems: 64, items: { ...PREFIX, description: 'A prefix.' } },
              description: 'What it takes of the other side; absent: all that that lets through.',
            },
          },
          'x-kubernetes-validations': [
            { rule: 'has(self.vpc) != has(self.routerID)', message: 'give one of vpc and routerID' },
          ],
        },
      },
      externalGateway: {
        type: 'object',
        description: 'The way outside. What leaves has an address of the Vpc there, or a FloatingIP.',
        required: ['network'],
        properties: { network: reference('Name or ID of an external network that its project sees.') },
      },
    },
  },
  status: {
    externalIPs: {
      ...{ type: 'array', items: { ...ADDRESS, description: 'An address.' } },
      description: 'Its addresses outside.',
    },
    peerings: {
      type: 'array',
      description: 'How it is with each peering.',
      items: {
        type: 'object',
        description: 'One of them.',
        properties: {
          name: { type: 'string', description: 'Its name.' },
          status: { type: 'string', description: 'ACTIVE, or DOWN.' },
          waitsFor: { type: 'string', description: 'What one that is DOWN waits for.' },
        },
      },
    },
  },
  columns: [{ name: 'External', type: 'string', jsonPath: '.status.externalIPs[*]' }],
};

export const vpcKind: CustomKind = {
  ...{ declared: DECLARED, types: ['router'], apply, release: releaseVpc },
  adoptable: { types: ['router'], describe },
  peers: ({ spec, metadata }) =>
    ((spec ?? {}) as Spec).peerings?.flatMap(({ vpc }) =>
      vpc === undefined ? [] : [`${vpc.namespace ?? metadata.namespace}/${vpc.name}`],
    ) ?? [],
};

async function apply(work: Work): Promise<Outcome> {
  const spec = work.spec<Spec>();
  const router = await work.ensure('router', { wanted: { name: work.name, description: spec.description ?? '' } });
  let unmet: Unmet | undefined;
  const attempt = async (run: () => Promise<void>): Promise<void> => {
    try {
      await run();
    } catch (err) {
      if (!(err instanceof Unmet)) throw err;
      unmet ??= err;
    }
  };
  let changed = router;
  await attempt(() =>
    refusals(async () => {
      changed = await gateway(work, router, spec);
    }),
  );
  // Peers may find it from here on: what it waits for is not theirs.
  const peerings: PeeringStatus[] = [];
  await attempt(async () => {
    await refusals(async () => void peerings.push(...(await applyPeerings(work, router.id, spec.peerings ?? []))));
    const double = twice('peerings', spec.peerings ?? [], ({ name }) => `the name ${name}`);
    if (double !== undefined) throw double;
  });
  await attempt(() => refusals(() => applyPolicies(work, router.id, spec.policyRoutes ?? [])));
  const info = changed['external_gateway_info'] as GatewayInfo | null;
  const externalIPs = info?.external_fixed_ips.map((one) => one.ip_address) ?? [];
  // Of what its Subnets are not there for yet it waits; it is there for them all the same.
  await attempt(() => refusals(() => applyRoutes(work, changed, spec)));
  const outcome = { id: router.id, projectId: work.projectId, status: { externalIPs, peerings } };
  return unmet === undefined ? outcome : { ...outcome, unmet };
}

async function describe(work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const row = onlyRow(rows);
  const parts = work.client.within(row.id);
  const policies = (await parts.list('router_policy')) as readonly AnyObject[];
  const peerings = (await parts.list('router_peering')) as readonly AnyObject[];
  if ((row['routes'] as readonly unknown[]).length > ROUTES_MAX)
    throw notAdoptable(`it has more than ${ROUTES_MAX} routes`);
  if (policies.some((one) => (one['source_port_range_min'] ?? null) !== null))
    throw notAdoptable('it has a policy route about source ports');
  if (peerings.some((one) => one['name'] === '')) throw notAdoptable('it has a peering without a name');
  return {
    ...vpcOf(row).spec,
    ...given({ policyRoutes: policies.map(routeSaid), peerings: peerings.map(peeringSaid) }),
  };
}

function routeSaid(one: AnyObject): Described {
  return {
    priority: one['priority'],
    ...given({
      ...{ action: one['action'], nextHop: one['next_hop'], subnet: one['subnet_id'] },
      ...{ source: one['source_ip_prefix'], destination: one['destination_ip_prefix'], protocol: one['protocol'] },
      ...{ portRangeMin: one['port_range_min'], portRangeMax: one['port_range_max'] },
    }),
  };
}

function peeringSaid(one: AnyObject): Described {
  return given({
    ...{ name: one['name'], routerID: one['peer_router_id'], subnets: one['subnet_ids'] },
    acceptedPrefixes: one['accepted_prefixes'],
  });
}

/** What the server refuses as `Unmet`. */
async function refusals(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (err) {
    throw isRefusal(err) ? unmetBy(err) : err;
  }
}

type GatewayInfo = { readonly network_id: string; readonly external_fixed_ips: readonly { ip_address: string }[] };

async function gateway(work: Work, router: AnyObject, { externalGateway }: Spec): Promise<AnyObject> {
  const info = router['external_gateway_info'] as GatewayInfo | null;
  const outside = { 'router:external': true };
  const wanted =
    externalGateway === undefined ? null : (await work.findOne('network', externalGateway.network, outside)).id;
  if ((info?.network_id ?? null) === wanted) return router;
  const change = { external_gateway_info: wanted === null ? null : { network_id: wanted } };
  return (await work.client.update('router', router.id, change)) as AnyObject;
}

async function applyRoutes(work: Work, router: AnyObject, { staticRoutes = [] }: Spec): Promise<void> {
  const wanted = staticRoutes.map(({ cidr, nextHop }) => ({
    destination: canonical(cidr),
    nexthop: canonical(nextHop),
  }));
  if (isDeepStrictEqual(sorted(wanted), sorted(router['routes'] as typeof wanted))) return;
  await work.client.update('router', router.id, { routes: wanted });
}

function sorted(routes: readonly { readonly destination: string; readonly nexthop: string }[]): readonly string[] {
  return routes.map(({ destination, nexthop }) => `${destination} ${nexthop}`).sort();
}

/** One that waits for something keeps none of the others, and stays as it is. What moves is there at its new priority before it leaves the old one. */
export async function applyPolicies(work: Work, routerId: string, routes: readonly PolicyRoute[]): Promise<void> {
  const policies = work.client.within(routerId);
  const there = new Map(
    ((await policies.list('router_policy')) as readonly AnyObject[]).map((one) => [Number(one['priority']), one]),
  );
  let unmet = twice('policyRoutes', routes, ({ priority }) => `priority ${priority}`);
  const attempt = async <T>(run: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await run();
    } catch (err) {
      if (!(err instanceof Unmet) && !isRefusal(err)) throw err;
      unmet ??= err instanceof Unmet ? err : unmetBy(err);
      return undefined;
    }
  };
  const wanted = new Map<number, Readonly<Record<string, unknown>>>();
  for (const one of routes) {
    const body = await attempt(() => policyOf(work, one));
    if (body !== undefined) wanted.set(one.priority, body);
  }
  const named = new Set(routes.map(({ priority }) => priority));
  const gone = [...there].filter(([priority]) => !named.has(priority));
  const write = async ([priority, body]: readonly [number, Readonly<Record<string, unknown>>]): Promise<void> => {
    const before = there.get(priority);
    if (before === undefined) await policies.create('router_policy', body);
    else if (differs(before, body)) await policies.update('router_policy', before.id, body);
  };
  const isNew = ([priority]: readonly [number, unknown]): boolean => !there.has(priority);
  const [come, kept] = [[...wanted].filter(isNew), [...wanted].filter((one) => !isNew(one))];
  // A router has room for so many.
  const first = come.slice(0, Math.max(0, ROUTER_POLICIES_MAX - there.size));
  for (const one of [...first, ...kept]) await attempt(() => write(one));
  for (const [, { id }] of gone) await policies.delete('router_policy', id);
  for (const one of come.slice(first.length)) await attempt(() => write(one));
  if (unmet !== undefined) throw unmet;
}

function differs(before: AnyObject, wanted: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(wanted).some(([name, value]) => !isDeepStrictEqual(value, before[name]));
}

async function policyOf(work: Work, route: PolicyRoute): Promise<Readonly<Record<string, unknown>>> {
  const { priority, action } = route;
  const subnets = route.subnet === undefined ? [] : await work.subnets(route.subnet);
  if (subnets.length > 1)
    throw new Unmet('Invalid', `Subnet ${route.subnet} has prefixes of both versions of IP: give source instead`);
  return {
    ...{ priority, action, next_hop: maybe(route.nextHop), subnet_id: subnets[0] ?? null },
    source_ip_prefix: maybe(route.source),
    destination_ip_prefix: maybe(route.destination),
    protocol: route.protocol ?? null,
    port_range_min: route.portRangeMin ?? null,
    port_range_max: route.portRangeMax ?? route.portRangeMin ?? null,
  };
}

function maybe(text: string | undefined): string | null {
  return text === undefined ? null : canonical(text);
}

type PeeringStatus = { readonly name: string; readonly status: string; readonly waitsFor: string };

async function applyPeerings(work: Work, routerId: string, peerings: readonly Peering[]): Promise<PeeringStatus[]> {
  const sides = work.client.within(routerId);
  const there = (await sides.list('router_peering')) as readonly AnyObject[];
  // What is wanted no more goes, whatever becomes of the others.
  const names = new Set(peerings.map(({ name }) => name));
  for (const { id, name } of there) if (!names.has(String(name))) await sides.delete('router_peering', id);
  const status: PeeringStatus[] = [];
  const kept = new Set<string>();
  for (const peering of new Map(peerings.map((one) => [one.name, one])).values()) {
    const { name, subnets = [], acceptedPrefixes = [] } = peering;
    const peer = peerOf(work, peering);
    if (peer === undefined) {
      status.push({ name, status: 'DOWN', waitsFor: 'the other side' });
      continue;
    }
    const changing = {
      subnet_ids: (await Promise.all(subnets.map((one) => work.subnets(one)))).flat(),
      accepted_prefixes: acceptedPrefixes.map(canonical),
    };
    const before = there.find((one) => one['name'] === name && one['peer_router_id'] === peer);
    const now =
      before === undefined
        ? await sides.create('router_peering', { name, peer_router_id: peer, ...changing })
        : differs(before, changing)
          ? await sides.update('router_peering', before.id, changing)
          : before;
    kept.add(now.id);
    const side = now as AnyObject;
    status.push({ name, status: String(side['status']), waitsFor: String(side['waits_for']) });
  }
  for (const { id, name } of there)
    if (names.has(String(name)) && !kept.has(id)) await sides.delete('router_peering', id);
  return status;
}

/** Undefined: it is not there yet. */
function peerOf(work: Work, { vpc, routerID }: Peering): string | undefined {
  if (vpc === undefined) return routerID;
  return work.deps.find('Vpc', `${vpc.namespace ?? work.namespace}/${vpc.name}`)?.outcome?.id;
}

/** Its own routes and peerings hold nothing but itself. */
async function releaseVpc({ client }: Pick<Work, 'client' | 'deps'>, router: AnyObject): Promise<void> {
  const sides = client.within(router.id);
  for (const { id } of (await sides.list('router_peering')) as readonly AnyObject[])
    await sides.delete('router_peering', id);
}
