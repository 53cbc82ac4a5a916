/** `Mirror`: copies of what a port sends or receives, to another port. */
import type { AnyObject } from '@cable/model';
import { given, onlyRow, refuseDiffering } from './adoption.ts';
import type { Declaration } from './definition.ts';
import { podsIn, portReference } from './port-reference.ts';
import type { CustomKind, Described, Outcome, PortReference, Work } from './work.ts';

type Filter = {
  readonly protocol?: string;
  readonly remoteAddress?: string;
  readonly portRangeMin?: number;
  readonly portRangeMax?: number;
};

type Spec = {
  readonly description?: string;
  readonly source?: PortReference;
  readonly target?: PortReference;
  readonly direction?: keyof typeof DIRECTIONS;
  readonly filter?: readonly Filter[];
};

const DIRECTIONS = { both: 'BOTH', ingress: 'IN', egress: 'OUT' } as const;
const PORT = { type: 'integer', minimum: 0, maximum: 65535 } as const;

const DECLARED: Declaration = {
  ...{ kind: 'Mirror', plural: 'mirrors', singular: 'mirror', shortNames: [] },
  description: 'Copies of what one port sends or receives, to another.',
  spec: {
    type: 'object',
    description: 'What is copied where.',
    required: ['source', 'target'],
    properties: {
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      source: portReference('Whose traffic is copied.'),
      target: portReference('Who gets the copies.'),
      direction: {
        ...{ type: 'string', enum: Object.keys(DIRECTIONS) },
        description: 'ingress: what the source receives; egress: what it sends; both, or absent: both.',
      },
      filter: {
        ...{ type: 'array', maxItems: 8 },
        description: 'Kinds of traffic that are copied; absent: everything.',
        items: {
          type: 'object',
          description: 'One of them; what is not said is any.',
          properties: {
            protocol: { type: 'string', minLength: 1, maxLength: 40, description: 'Name or IANA number.' },
            remoteAddress: {
              type: 'string',
              minLength: 1,
              maxLength: 49,
              description: 'Address or prefix of the other end.',
            },
            portRangeMin: { ...PORT, description: 'First port, of either end.' },
            portRangeMax: { ...PORT, description: 'Last port; absent: the first.' },
          },
        },
      },
    },
  },
  status: { status: { type: 'string', description: 'ACTIVE when both ports are, DOWN otherwise.' } },
  columns: [
    { name: 'Source', type: 'string', jsonPath: '.spec.source.pod' },
    { name: 'Target', type: 'string', jsonPath: '.spec.target.pod' },
    { name: 'Direction', type: 'string', jsonPath: '.spec.direction' },
  ],
};

export const mirrorKind: CustomKind = {
  ...{ declared: DECLARED, types: ['tap_flow', 'tap_service'], apply },
  adoptable: { types: ['tap_flow'], describe, check },
  pods: (object) => podsIn(object, 'source', 'target'),
};

async function apply(work: Work): Promise<Outcome> {
  const spec = work.spec<Spec>();
  const [source, target] = [await work.port(spec.source ?? {}), await work.port(spec.target ?? {})];
  const called = { name: work.name, description: spec.description ?? '' };
  const direction = DIRECTIONS[spec.direction ?? 'both'];
  const [service] = await work.rows('tap_service', {});
  const [flow] = await work.rows('tap_flow', {});
  const isOther = service !== undefined && service['port_id'] !== target;
  // What says where from and where to cannot be changed in place.
  if (flow !== undefined && (isOther || flow['source_port'] !== source || flow['direction'] !== direction))
    await work.client.delete('tap_flow', flow.id);
  if (isOther) await work.client.delete('tap_service', service.id);
  const to = await work.ensure('tap_service', { fixed: { port_id: target }, wanted: called });
  const fixed = { tap_service_id: to.id, source_port: source, direction };
  const made: AnyObject = await work.ensure('tap_flow', {
    ...{ fixed, wanted: { ...called, 'cable:filter': (spec.filter ?? []).map(filterOf) } },
  });
  return { id: made.id, projectId: work.projectId, status: { status: String(made['status']) } };
}

async function describe(work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const row = onlyRow(rows);
  const filter = row['cable:filter'] as readonly Readonly<Record<string, unknown>>[];
  return {
    ...given({ description: row['description'], filter: filter.map(filterSaid) }),
    source: { portID: row['source_port'] },
    target: { portID: (await serviceOf(work, row))['port_id'] },
    direction: Object.entries(DIRECTIONS).find(([, said]) => said === row['direction'])?.[0],
  };
}

async function serviceOf(work: Work, flow: AnyObject): Promise<AnyObject> {
  return (await work.client.get('tap_service', String(flow['tap_service_id']))) as AnyObject;
}

/** In place nothing of them can be changed. */
async function check(work: Work, rows: readonly AnyObject[], spec: Described): Promise<void> {
  const flow = onlyRow(rows);
  const { source = {}, target = {}, direction = 'both' } = spec as Spec;
  refuseDiffering('source', flow['source_port'], await work.port(source));
  refuseDiffering('target', (await serviceOf(work, flow))['port_id'], await work.port(target));
  refuseDiffering('direction', flow['direction'], DIRECTIONS[direction]);
}

function filterSaid(one: Readonly<Record<string, unknown>>): Described {
  return given({
    ...{ protocol: one['protocol'], remoteAddress: one['remote_ip_prefix'] },
    ...{ portRangeMin: one['port_range_min'], portRangeMax: one['port_range_max'] },
  });
}

function filterOf({ protocol, remoteAddress, portRangeMin, portRangeMax }: Filter): object {
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(remoteAddress === undefined ? {} : { remote_ip_prefix: remoteAddress }),
    ...(portRangeMin === undefined
      ? {}
      : { port_range_min: portRangeMin, port_range_max: portRangeMax ?? portRangeMin }),
  };
}
