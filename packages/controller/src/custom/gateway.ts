/** `Gateway`: by which addresses of a Vpc's external network some of its pods leave, and which ports there lead to them. */
import { type AnyObject, parseLabelSelector, type RouterEgress } from '@cable/model';
import { isRefusal } from '../cable-access.ts';
import { type SelectorSpec, selectorText } from '../policy-facts.ts';
import { given, notAdoptable, refuseDiffering } from './adoption.ts';
import { type Declaration, reference, type Schema } from './definition.ts';
import { podsIn, portReference } from './port-reference.ts';
import {
  type CustomKind,
  type CustomObject,
  type Described,
  type Outcome,
  type PortReference,
  twice,
  Unmet,
  unmetBy,
  type Work,
} from './work.ts';

type Egress = {
  readonly name: string;
  readonly priority?: number;
  readonly addresses?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly podSelector?: SelectorSpec;
  readonly subnet?: string;
};

type Forward = {
  readonly protocol?: string;
  readonly port: number;
  readonly target: PortReference;
  readonly targetPort?: number;
};

type Spec = {
  readonly vpc: string;
  readonly description?: string;
  readonly egress?: readonly Egress[];
  readonly ports?: readonly Forward[];
};

const SELECTOR: Schema = {
  type: 'object',
  description: 'Only pods with such labels; absent: any.',
  properties: {
    matchLabels: {
      type: 'object',
      description: 'Labels that pods have.',
      additionalProperties: { type: 'string', maxLength: 63, description: 'Value of the label.' },
    },
    matchExpressions: {
      ...{ type: 'array', maxItems: 16 },
      description: 'What holds of their labels besides.',
      items: {
        type: 'object',
        description: 'One requirement.',
        required: ['key', 'operator'],
        properties: {
          key: { type: 'string', minLength: 1, maxLength: 317, description: 'Name of the label.' },
          operator: {
            ...{ type: 'string', enum: ['In', 'NotIn', 'Exists', 'DoesNotExist'] },
            description: 'What must hold of it.',
          },
          values: {
            ...{ type: 'array', maxItems: 32, items: { type: 'string', maxLength: 63, description: 'A value.' } },
            description: 'Of In and NotIn.',
          },
        },
      },
    },
  },
};

const DECLARED: Declaration = {
  ...{ kind: 'Gateway', plural: 'gateways', singular: 'gateway', shortNames: ['cgw'] },
  description: 'Addresses outside by which some pods of a Vpc leave, and ports of one that lead to pods.',
  spec: {
    type: 'object',
    description: 'Who leaves by which address, and who is reached.',
    required: ['vpc'],
    properties: {
      vpc: reference('The Vpc, which has an externalGateway: one of the namespace, or name or ID of a router.'),
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      egress: {
        ...{ type: 'array', maxItems: 16 },
        description: 'Who leaves by addresses of his own, by which nobody else leaves.',
        items: {
          type: 'object',
          description: 'All that is said of them must match.',
          required: ['name'],
          properties: {
            name: { type: 'string', minLength: 1, maxLength: 63, description: 'No two of the Gateway have the same.' },
            priority: {
              ...{ type: 'integer', minimum: 0, maximum: 32767 },
              description:
                'Absent: 100. Of those of the Vpc that match a pod the highest counts; of equal ones the older.',
            },
            addresses: {
              ...{ type: 'array', maxItems: 8, items: { type: 'string', maxLength: 15, description: 'An address.' } },
              description: 'IPv4 addresses that the Vpc has outside; absent: it gets another one.',
            },
            namespaces: {
              ...{ type: 'array', maxItems: 256 },
              items: { type: 'string', minLength: 1, maxLength: 63, description: 'A namespace.' },
              description:
                'Only pods of these. Absent: of this namespace; in the namespace of the controller of any, and VMs.',
            },
            podSelector: SELECTOR,
            subnet: reference('Only what has an address of this Subnet: one of the namespace.'),
          },
        },
      },
      ports: {
        ...{ type: 'array', maxItems: 64 },
        description: 'Ports of an address of the Gateway’s own that lead to pods, VMs or Ports; absent: it has none.',
        items: {
          type: 'object',
          description: 'One of them.',
          required: ['port', 'target'],
          properties: {
            protocol: {
              ...{ type: 'string', enum: ['TCP', 'UDP', 'SCTP'] },
              description: 'The protocol; absent: TCP. SCTP keeps its port.',
            },
            port: { type: 'integer', minimum: 1, maximum: 65535, description: 'Port outside.' },
            target: portReference('Where it leads. It has no FloatingIP.'),
            targetPort: { type: 'integer', minimum: 1, maximum: 65535, description: 'Port there; absent: the same.' },
          },
        },
      },
    },
  },
  status: {
    egress: {
      type: 'array',
      description: 'By which addresses who leaves.',
      items: {
        type: 'object',
        description: 'One egress.',
        properties: {
          name: { type: 'string', description: 'Its name.' },
          addresses: {
            ...{ type: 'array', items: { type: 'string', description: 'An address.' } },
            description: 'Its addresses outside.',
          },
          status: { type: 'string', description: 'ACTIVE, or DOWN: pods leave as without it.' },
          waitsFor: { type: 'string', description: 'What one that is DOWN waits for.' },
        },
      },
    },
    address: { type: 'string', description: 'The address whose ports lead to pods; empty: there is none.' },
  },
  columns: [
    { name: 'Vpc', type: 'string', jsonPath: '.spec.vpc' },
    { name: 'Egress', type: 'string', jsonPath: '.status.egress[*].addresses[*]' },
    { name: 'Address', type: 'string', jsonPath: '.status.address' },
  ],
};

export const gatewayKind: CustomKind = {
  ...{ declared: DECLARED, types: ['floatingip', 'router_egress'], apply, release },
  adoptable: { types: ['floatingip', 'router_egress'], describe, check },
  pods: ({ spec = {} }: CustomObject) =>
    ((spec as unknown as Spec).ports ?? []).flatMap(({ target }) => podsIn({ spec: { target } } as never, 'target')),
};

async function apply(work: Work): Promise<Outcome> {
  const spec = work.spec<Spec>();
  const routerId = await work.refer('Vpc', 'router', spec.vpc);
  const router = (await work.client.get('router', routerId)) as AnyObject;
  const info = router['external_gateway_info'] as { readonly network_id: string } | null;
  if (info === null) throw new Unmet('WaitsFor', `Vpc ${spec.vpc} has no externalGateway`);
  const egress = await applyEgress(work, routerId, spec);
  const forwards = await applyForwards(work, info.network_id, spec);
  const status = { egress: egress.status, address: forwards.address };
  const outcome = { id: routerId, projectId: work.projectId, status };
  const unmet = egress.unmet ?? forwards.unmet;
  return unmet === undefined ? outcome : { ...outcome, unmet };
}

async function describe(work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const { addresses, egresses } = partsOf(rows);
  const [floating, second] = addresses;
  if (second !== undefined) throw notAdoptable('they are several floating IPs');
  if (floating !== undefined && (floating['port_id'] ?? null) !== null)
    throw notAdoptable('it leads to a port, which a FloatingIP takes over,');
  const forwardings = floating === undefined ? [] : await work.client.within(floating.id).list('port_forwarding');
  const [first] = rows;
  return given({
    description: first?.['description'],
    egress: egresses.map((one) => egressSaid(work, one)),
    ports: (forwardings as readonly AnyObject[]).map(forwardSaid),
  });
}

function partsOf(rows: readonly AnyObject[]) {
  const isAddress = (row: AnyObject): boolean => row['floating_network_id'] !== undefined;
  return { addresses: rows.filter(isAddress), egresses: rows.filter((row) => !isAddress(row)) };
}

function egressSaid(work: Work, row: AnyObject): Described {
  const own = `${work.deps.cluster}/`;
  const namespaces = row['namespaces'] as readonly string[];
  const subnets = row['subnet_ids'] as readonly string[];
  if (row['name'] === '') throw notAdoptable('it has an egress without a name');
  if (namespaces.some((one) => !one.startsWith(own))) throw notAdoptable('it has an egress of another cluster’s pods');
  if (subnets.length > 1) throw notAdoptable('it has an egress of several subnets');
  const pods = row['pods'] === null ? undefined : parseLabelSelector(String(row['pods']));
  return {
    ...{ name: row['name'], priority: row['priority'], addresses: row['external_addresses'] },
    // None: anybody’s.
    namespaces: namespaces.map((one) => one.slice(own.length)),
    ...given({ subnet: subnets[0] }),
    ...(pods === undefined ? {} : { podSelector: { matchExpressions: pods } }),
  };
}

function forwardSaid(row: AnyObject): Described {
  const [port, targetPort] = [row['external_port'] ?? null, row['internal_port'] ?? null];
  if (port === null || targetPort === null) throw notAdoptable('it has a port forwarding of a range of ports');
  const protocol = String(row['protocol']).toUpperCase();
  return { protocol, port, targetPort, target: { portID: row['internal_port_id'] } };
}

async function check(work: Work, rows: readonly AnyObject[], spec: Described): Promise<void> {
  const { addresses, egresses } = partsOf(rows);
  const routerId = await work.refer('Vpc', 'router', String(spec['vpc']));
  const info = ((await work.client.get('router', routerId)) as AnyObject)['external_gateway_info'] as {
    readonly network_id: string;
  } | null;
  for (const one of egresses) refuseDiffering(`router of egress ${one['name']}`, one['router_id'], routerId);
  for (const one of addresses) refuseDiffering('external network', one['floating_network_id'], info?.network_id);
}

type EgressStatus = {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly status: string;
  readonly waitsFor: string;
};

/** What cannot be of one keeps none of the others. */
async function applyEgress(
  work: Work,
  routerId: string,
  { egress = [], description = '' }: Spec,
): Promise<{ readonly status: readonly EgressStatus[]; readonly unmet?: Unmet }> {
  const there = (await work.rows('router_egress')) as unknown as readonly RouterEgress[];
  const wanted = new Map(egress.map((one) => [one.name, one]));
  let unmet = twice('egress', egress, ({ name }) => `the name ${name}`);
  for (const { id, name } of there) if (!wanted.has(name)) await work.client.delete('router_egress', id);
  const status: EgressStatus[] = [];
  for (const one of wanted.values()) {
    try {
      const row = await work.ensure('router_egress', {
        ...{ query: { name: one.name }, place: one.name },
        fixed: {
          router_id: routerId,
          ...(one.addresses === undefined ? {} : { external_addresses: [...one.addresses] }),
        },
        wanted: { name: one.name, description, priority: one.priority ?? 100, ...(await whoLeaves(work, one)) },
      });
      status.push({
        ...{ name: one.name, addresses: row['external_addresses'] as readonly string[] },
        // A server of before says nothing of it.
        ...{ status: String(row['status'] ?? 'ACTIVE'), waitsFor: String(row['waits_for'] ?? '') },
      });
    } catch (err) {
      unmet ??= unmetOf(err);
    }
  }
  return unmet === undefined ? { status } : { status, unmet };
}

async function whoLeaves(work: Work, { name, namespaces, podSelector, subnet }: Egress) {
  const foreign = work.isOperators ? undefined : namespaces?.find((one) => one !== work.namespace);
  if (foreign !== undefined) {
    const where = `in the namespace ${work.deps.operatorNamespace} alone a Gateway can be of others`;
    throw new Unmet('NamespaceNotAllowed', `egress ${name}: ${foreign} is another namespace; ${where}`);
  }
  const pods = podSelector === undefined ? null : selectorText(podSelector);
  if (pods === undefined) throw new Unmet('Invalid', `egress ${name}: podSelector cannot be understood`);
  const named = namespaces ?? (work.isOperators ? [] : [work.namespace]);
  return {
    subnet_ids: subnet === undefined ? [] : await work.subnets(subnet),
    namespaces: named.map((one) => `${work.deps.cluster}/${one}`),
    pods,
  };
}

/** Port forwardings of a floating IP of its own. The address is kept while somebody who is meant is not there. */
async function applyForwards(
  work: Work,
  externalNetwork: string,
  { ports = [], description = '' }: Spec,
): Promise<{ readonly address: string; readonly unmet?: Unmet }> {
  if (ports.length === 0) {
    for (const row of await work.rows('floatingip')) {
      await release(work, row);
      await work.client.delete('floatingip', row.id);
    }
    return { address: '' };
  }
  const floating = await work.ensure('floatingip', {
    fixed: { floating_network_id: externalNetwork },
    wanted: { description },
  });
  const forwardings = work.client.within(floating.id);
  const there = (await forwardings.list('port_forwarding')) as readonly AnyObject[];
  const placeOf = (protocol: unknown, port: unknown): string => `${protocol}/${port}`;
  const known = new Map(there.map((one) => [placeOf(one['protocol'], one['external_port']), one]));
  const wanted = new Map(ports.map((one) => [placeOf((one.protocol ?? 'TCP').toLowerCase(), one.port), one]));
  for (const [place, { id }] of known) if (!wanted.has(place)) await forwardings.delete('port_forwarding', id);
  let unmet = twice('ports', ports, ({ protocol = 'TCP', port }) => `port ${port} of ${protocol}`);
  const attempt = async (run: () => Promise<unknown>): Promise<void> => {
    try {
      await run();
    } catch (err) {
      unmet ??= unmetOf(err);
    }
  };
  const changing = new Map<string, Leading>();
  for (const [place, { protocol = 'TCP', port, target, targetPort = port }] of wanted) {
    await attempt(async () => {
      const leads = { internal_port_id: await work.port(target), internal_port: targetPort };
      const before = known.get(place);
      const isSame = Object.entries(leads).every(([name, value]) => before?.[name] === value);
      if (!isSame) changing.set(place, { body: { protocol: protocol.toLowerCase(), external_port: port }, leads });
    });
  }
  // Two cannot lead to one port, not for a moment either: what leads where another is to lead goes first.
  const taken = new Set([...changing.values()].map(({ body, leads }) => leadOf({ ...body, ...leads })));
  for (const place of changing.keys()) {
    const before = known.get(place);
    if (before === undefined || !taken.has(leadOf(before))) continue;
    await forwardings.delete('port_forwarding', before.id);
    known.delete(place);
  }
  for (const [place, { body, leads }] of changing) {
    const before = known.get(place);
    await attempt(() =>
      before === undefined
        ? forwardings.create('port_forwarding', { ...body, ...leads })
        : forwardings.update('port_forwarding', before.id, leads),
    );
  }
  const address = String(floating['floating_ip_address']);
  return unmet === undefined ? { address } : { address, unmet };
}

type Leading = {
  readonly body: { readonly protocol: string; readonly external_port: number };
  readonly leads: { readonly internal_port_id: string; readonly internal_port: number };
};

function leadOf(row: Readonly<Record<string, unknown>>): string {
  return [row['protocol'], row['internal_port_id'], row['internal_port']].join(' ');
}

/** A floating IP does not go with port forwardings. */
async function release({ client }: Pick<Work, 'client' | 'deps'>, row: AnyObject): Promise<void> {
  if (row['floating_network_id'] === undefined) return;
  const forwardings = client.within(row.id);
  for (const { id } of (await forwardings.list('port_forwarding')) as readonly AnyObject[])
    await forwardings.delete('port_forwarding', id);
}

function unmetOf(err: unknown): Unmet {
  if (err instanceof Unmet) return err;
  if (isRefusal(err)) return unmetBy(err);
  throw err;
}
