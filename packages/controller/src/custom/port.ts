/** `Port`: a port that is there before its machine, such as a VM that Nova starts with it. */
import type { AnyObject } from '@cable/model';
import type { ClusterNetwork } from '../cluster-networks.ts';
import { subnetOf } from '../pod-place.ts';
import { given, notAdoptable, onlyRow } from './adoption.ts';
import { type Declaration, immutable, reference } from './definition.ts';
import { canonical } from './subnet-ranges.ts';
import { portOf } from './views.ts';
import { type CustomKind, type Described, goes, type Outcome, Unmet, type Work } from './work.ts';

type Spec = {
  readonly description?: string;
  readonly subnet?: string;
  readonly ipAddresses?: readonly string[];
  readonly macAddress?: string;
  readonly securityGroups?: readonly string[];
  readonly qosPolicy?: string;
};

const DECLARED: Declaration = {
  ...{ kind: 'Port', plural: 'ports', singular: 'port', shortNames: [] },
  description: 'A place in a network, with addresses, for a machine that comes later. Pods have ports of their own.',
  spec: {
    type: 'object',
    description: 'Where it is, and what holds for it.',
    required: ['subnet'],
    properties: {
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      subnet: reference('A Subnet of the namespace, or name or ID of a subnet that its project sees.'),
      ipAddresses: {
        ...{ type: 'array', maxItems: 2 },
        description: 'Its addresses, one of each version of IP at the most; absent: free ones of the Subnet.',
        items: { type: 'string', minLength: 2, maxLength: 45, description: 'An address.' },
      },
      macAddress: {
        ...{ type: 'string', pattern: '^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$', maxLength: 17 },
        description: 'Absent: a free one.',
      },
      securityGroups: {
        ...{ type: 'array', maxItems: 64 },
        description: 'Absent: the project’s default group; an empty list: none, so that nothing passes.',
        items: reference('A SecurityGroup of the namespace, or name or ID of a group that its project sees.'),
      },
      qosPolicy: reference('A QosPolicy of the namespace, or name or ID of what its project sees.'),
    },
    'x-kubernetes-validations': immutable('subnet', 'ipAddresses', 'macAddress'),
  },
  status: {
    ipAddresses: {
      ...{ type: 'array', items: { type: 'string', description: 'An address.' } },
      description: 'Its addresses.',
    },
    macAddress: { type: 'string', description: 'Its MAC address.' },
    deviceOwner: { type: 'string', description: 'What has it; empty: nothing yet.' },
    deviceID: { type: 'string', description: 'Which one has it, such as the ID of a VM.' },
    status: { type: 'string', description: 'ACTIVE when it is plugged.' },
  },
  columns: [
    { name: 'Addresses', type: 'string', jsonPath: '.status.ipAddresses' },
    { name: 'MAC', type: 'string', jsonPath: '.status.macAddress', priority: 1 },
    { name: 'Device', type: 'string', jsonPath: '.status.deviceOwner' },
    { name: 'Status', type: 'string', jsonPath: '.status.status' },
  ],
};

export const portKind: CustomKind = {
  ...{ declared: DECLARED, types: ['port'], apply, release: refusePlugged },
  adoptable: { types: ['port'], describe, check },
};

async function apply(work: Work): Promise<Outcome> {
  const spec = work.spec<Spec>();
  const place = await placeOf(work, spec.subnet ?? '');
  const named = (spec.securityGroups ?? []).map((one) => work.refer('SecurityGroup', 'security_group', one));
  const groups = [...new Set(await Promise.all(named))];
  const qos = spec.qosPolicy === undefined ? null : await work.refer('QosPolicy', 'qos_policy', spec.qosPolicy);
  const changing = {
    ...{ name: work.name, description: spec.description ?? '', qos_policy_id: qos },
    ...(spec.securityGroups === undefined ? {} : { security_groups: groups.toSorted() }),
  };
  const [before] = await work.rows('port');
  if (before === undefined && place.isGoing) throw goes(`Subnet ${spec.subnet}`);
  if (before !== undefined) refuseMoved(before, spec, place.subnetIds);
  const port = await work.ensure('port', {
    fixed: { network_id: place.networkId },
    wanted:
      before === undefined
        ? {
            ...changing,
            fixed_ips:
              spec.ipAddresses === undefined
                ? place.subnetIds.map((id) => ({ subnet_id: id }))
                : await addressesIn(work, place, spec),
            ...(spec.macAddress === undefined ? {} : { mac_address: spec.macAddress }),
          }
        : sameGroups(before, groups)
          ? { ...changing, security_groups: before['security_groups'] }
          : changing,
  });
  const fixedIps = port['fixed_ips'] as readonly { readonly ip_address: string }[];
  const status = {
    ipAddresses: fixedIps.map((one) => one.ip_address),
    macAddress: String(port['mac_address']),
    deviceOwner: String(port['device_owner']),
    deviceID: String(port['device_id']),
    status: String(port['status']),
  };
  return { id: port.id, projectId: work.projectId, status };
}

async function describe(_work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const row = onlyRow(rows);
  const view = portOf(row);
  if (view === undefined) throw notAdoptable('it has no address, or is neither free nor a VM’s');
  if ((row['fixed_ips'] as readonly unknown[]).length > 2) throw notAdoptable('it has more than two addresses');
  if ((row['security_groups'] as readonly unknown[]).length > 64) throw notAdoptable('it has more than 64 groups');
  return { ...view.spec, ...given({ qosPolicy: row['qos_policy_id'] }) };
}

async function check(work: Work, rows: readonly AnyObject[], spec: Described): Promise<void> {
  const said: Spec = spec;
  const place = await placeOf(work, said.subnet ?? '');
  refuseMoved(onlyRow(rows), said, place.subnetIds);
}

/** What a machine was told stays: older Kubernetes do not refuse a change of spec. Throws `Unmet`. */
function refuseMoved(before: AnyObject, { ipAddresses = [], macAddress }: Spec, subnetIds: readonly string[]): void {
  const fixedIps = before['fixed_ips'] as readonly { readonly subnet_id: string; readonly ip_address: string }[];
  const there = fixedIps.map((one) => one.ip_address);
  const isMoved =
    !fixedIps.every((one) => subnetIds.includes(one.subnet_id)) ||
    !ipAddresses.every((one) => there.includes(canonical(one))) ||
    (macAddress !== undefined && macAddress.toLowerCase() !== before['mac_address']);
  if (!isMoved) return;
  const is = `${there.join(', ')} (${before['mac_address']})`;
  throw new Unmet('Immutable', `its addresses are ${is}, and cannot be changed: make another Port`);
}

/** Whatever their order. Without a word about groups those that are there are right. */
function sameGroups(before: AnyObject, groups: readonly string[]): boolean {
  const there = before['security_groups'] as readonly string[];
  return there.length === groups.length && there.every((one) => groups.includes(one));
}

/** Each of a subnet of the Subnet's: its network may have others. Throws `Unmet`. */
async function addressesIn(
  { client }: Pick<Work, 'client'>,
  { networkId, subnetIds }: ClusterNetwork,
  { subnet, ipAddresses = [] }: Spec,
): Promise<readonly object[]> {
  const all = await client.list('subnet', { network_id: networkId });
  const own = all.filter(({ id }) => subnetIds.includes(id));
  return ipAddresses.map((address) => {
    const found = subnetOf(own, address);
    if (found.subnet_id === undefined)
      throw new Unmet(
        'Invalid',
        `ipAddresses: ${address} is not in ${subnet}: its prefix is ${own.map((one) => one.cidr).join(', ')}`,
      );
    return { ip_address: address, ...found };
  });
}

async function placeOf(work: Work, text: string) {
  const known = work.deps.find('Subnet', `${work.namespace}/${text}`);
  if (known?.outcome?.subnetIds !== undefined)
    return { networkId: known.outcome.id, subnetIds: known.outcome.subnetIds, isGoing: known.isGoing === true };
  if (known !== undefined) throw new Unmet('WaitsFor', `Subnet ${text} is not ready`);
  const found = await work.findOne('subnet', text);
  return { networkId: String(found['network_id']), subnetIds: [found.id], isGoing: false };
}

/** A machine would lose it while it runs. */
async function refusePlugged(_work: unknown, port: AnyObject): Promise<void> {
  if (port['device_id'] !== '') throw new Unmet('PortInUse', `${port['device_owner']} ${port['device_id']} has it`);
}
