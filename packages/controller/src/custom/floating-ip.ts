/** `FloatingIP`: an address outside that stands for one of a pod, a VM or a Port. */
import type { AnyObject } from '@cable/model';
import { given, notAdoptable, onlyRow, refuseDiffering } from './adoption.ts';
import { type Declaration, immutable, reference } from './definition.ts';
import { podsIn, portReference } from './port-reference.ts';
import { floatingOf } from './views.ts';
import { type CustomKind, type Described, type Outcome, type PortReference, Unmet, type Work } from './work.ts';

type Spec = {
  readonly description?: string;
  readonly externalNetwork?: string;
  readonly target?: PortReference;
  readonly fixedIP?: string;
  readonly qosPolicy?: string;
};

const DECLARED: Declaration = {
  ...{ kind: 'FloatingIP', plural: 'floatingips', singular: 'floatingip', shortNames: ['fip'] },
  description: 'An address of an external network that stands for an IPv4 address inside.',
  spec: {
    type: 'object',
    description: 'Where the address is of, and where it leads.',
    properties: {
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      externalNetwork: reference('Name or ID of the external network; absent: the only one that its project sees.'),
      target: portReference(
        'Where it leads. Its Vpc has an externalGateway there. Absent: nowhere, the address is kept.',
      ),
      fixedIP: {
        ...{ type: 'string', minLength: 7, maxLength: 15 },
        description: 'The address inside, of a target that has several of IPv4.',
      },
      qosPolicy: reference(
        'QosPolicy of what passes by it: one of the namespace, or name or ID of what its project sees.',
      ),
    },
    'x-kubernetes-validations': [
      ...immutable('externalNetwork'),
      { rule: '!has(self.fixedIP) || has(self.target)', message: 'fixedIP goes with target' },
    ],
  },
  status: {
    address: { type: 'string', description: 'The address outside.' },
    fixedIP: { type: 'string', description: 'The address inside; empty: it leads nowhere.' },
    portID: { type: 'string', description: 'ID of the port that it leads to; empty: none.' },
  },
  columns: [
    { name: 'Address', type: 'string', jsonPath: '.status.address' },
    { name: 'Fixed IP', type: 'string', jsonPath: '.status.fixedIP' },
    { name: 'Pod', type: 'string', jsonPath: '.spec.target.pod' },
  ],
};

export const floatingIpKind: CustomKind = {
  ...{ declared: DECLARED, types: ['floatingip'], apply },
  adoptable: { types: ['floatingip'], describe, check },
  pods: (object) => podsIn(object, 'target'),
};

async function apply(work: Work): Promise<Outcome> {
  const spec = work.spec<Spec>();
  const qos = spec.qosPolicy === undefined ? null : await work.refer('QosPolicy', 'qos_policy', spec.qosPolicy);
  let unmet: Unmet | undefined;
  let portId: string | null = null;
  try {
    if (spec.target !== undefined) portId = await work.port(spec.target);
  } catch (err) {
    // The address is kept for a pod that is not there yet.
    if (!(err instanceof Unmet)) throw err;
    unmet = err;
  }
  const inside = {
    port_id: portId,
    ...(portId === null || spec.fixedIP === undefined ? {} : { fixed_ip_address: spec.fixedIP }),
  };
  const floating = await work.ensure('floatingip', {
    fixed: { floating_network_id: await outside(work, spec) },
    wanted: { ...inside, description: spec.description ?? '', qos_policy_id: qos },
  });
  const status = {
    address: String(floating['floating_ip_address']),
    fixedIP: String(floating['fixed_ip_address'] ?? ''),
    portID: portId ?? '',
  };
  const outcome = { id: floating.id, projectId: work.projectId, status };
  return unmet === undefined ? outcome : { ...outcome, unmet };
}

async function describe(work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const row = onlyRow(rows);
  if ((await work.client.within(row.id).list('port_forwarding')).length > 0)
    throw notAdoptable('it has port forwardings, which a Gateway takes over,');
  const isTaken = (row['port_id'] ?? null) !== null;
  const more = { fixedIP: isTaken ? row['fixed_ip_address'] : null, qosPolicy: row['qos_policy_id'] };
  return { ...floatingOf(row).spec, ...given(more) };
}

async function check(work: Work, rows: readonly AnyObject[], spec: Described): Promise<void> {
  const network = await work.findOne('network', String(spec['externalNetwork']), { 'router:external': true });
  refuseDiffering('externalNetwork', onlyRow(rows)['floating_network_id'], network.id);
}

async function outside(work: Work, { externalNetwork }: Spec): Promise<string> {
  const isOutside = { 'router:external': true };
  if (externalNetwork !== undefined) return (await work.findOne('network', externalNetwork, isOutside)).id;
  const [before] = await work.rows('floatingip');
  if (before !== undefined) return String(before['floating_network_id']);
  const [first, second] = await work.client.list('network', isOutside);
  if (first === undefined) throw new Unmet('NotFound', 'there is no external network that its project sees');
  if (second !== undefined)
    throw new Unmet('Ambiguous', 'its project sees several external networks: give externalNetwork');
  return first.id;
}
