/** Private subnets: which a port is in, and with whom they exchange packets (docs/design/private-subnets.md). */
import { cidrsOverlap, type IpPrefix, parseCidr, parseIpOrCidr, type SliceKey } from '@cable/model';
import { compareText, isBound, type PortRow, type SubnetRow } from '../compiler-tables.ts';
import { defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { groupMember } from './group.ts';

/** `device_owner` of the port of a Kubernetes node: a machine of the operator, which must reach all pods. */
const NODE_OWNER = 'kubernetes:node';

/** The slice of the private subnets that the port is in, or, of a leg, its pod's port in the VPC; undefined: it is in none. */
export function privateSubnetsOf(reader: Reader, port: PortRow): SliceKey | undefined {
  const inVpc = inVpcOf(port);
  const pod = inVpc && reader.by('port', 'device_id', inVpc).find((one) => isSamePod(one, port));
  const kept = pod ? privatesOf(reader, pod) : [];
  if (pod && kept.length > 0) return `private_subnets:${nameOf(pod, kept)}${LEGS}`;
  const own = privatesOf(reader, port);
  return own.length === 0 ? undefined : `private_subnets:${nameOf(port, own)}`;
}

function privatesOf(reader: Reader, port: PortRow): readonly SubnetRow[] {
  const subnets = reader.by('subnet', 'network_id', port.network_id);
  return subnets.filter((subnet) => subnet['cable:private'] && isInSubnet(port, subnet));
}

function nameOf({ network_id: networkId }: PortRow, subnets: readonly SubnetRow[]): string {
  const ids = subnets.map(({ id }) => id).sort(compareText);
  return `${networkId}/${ids.join('+')}`;
}

/** `device_owner` of a pod's port in the cluster's network, beside that in its VPC; the `device_id` of both begin with the pod's UID. */
const LEG_OWNER = 'kubernetes:leg';
const LEG_END = ':eth0';
const VPC_END = ':vpc0';

/** `device_id` of the port in its VPC of the pod that has this leg; undefined: it is none. */
export function inVpcOf({
  device_owner: owner,
  device_id: id,
}: Pick<PortRow, 'device_owner' | 'device_id'>): string | undefined {
  return owner === LEG_OWNER && id.endsWith(LEG_END) ? `${id.slice(0, -LEG_END.length)}${VPC_END}` : undefined;
}

/** Ports of one pod, as its cluster's controller says: anybody may write a device_id. */
export function isSamePod(
  a: Pick<PortRow, 'cable:cluster' | 'cable:namespace'>,
  b: Pick<PortRow, 'cable:cluster' | 'cable:namespace'>,
): boolean {
  if (a['cable:cluster'] === null || a['cable:namespace'] === null) return false;
  return a['cable:cluster'] === b['cable:cluster'] && a['cable:namespace'] === b['cable:namespace'];
}

/** Behind what a slice is called of the legs of pods in the subnets. */
const LEGS = '/legs';

/**
 * The private subnets that some ports are in, all of one network. `id`: the network, and the subnets' ids, sorted, joined by `+`. A port that is in several is in each of them: their
 * prefixes count as its own. With `/legs` behind it: as legs of pods with such ports have it, in whose network these prefixes are others'.
 */
export const privateSubnetsKind: Kind = defineKind({
  name: 'private_subnets',
  header: (_reader, id) => ({ value: { id }, refs: [] }),
  items: {
    table: 'subnet',
    index: 'network_id',
    sourceKeys: (id) => [networkOf(id)],
    compute: (reader, subnet, id) => {
      const ids = idsOf(id);
      const { id: subnetId, ip_version: ipVersion } = subnet;
      if (!ids.includes(subnetId)) return [];
      if (id.endsWith(LEGS)) {
        const legs: SliceKey = `private_legs:${id.slice(0, -LEGS.length)}`;
        return [{ key: subnetId, value: { subnetId, ipVersion, peers: [], legs }, refs: [legs] }];
      }
      const own = ids.flatMap((one) => (one === subnetId ? [subnet.cidr] : (reader.get('subnet', one)?.cidr ?? [])));
      const peers = [...new Set([...own, ...subnet['cable:allow_subnets']])]
        .filter((one) => parseCidr(one)?.base.version === ipVersion)
        .sort(compareText);
      return [{ key: subnetId, value: { subnetId, ipVersion, peers }, refs: [] }];
    },
  },
});

/** Legs of the pods whose ports in their VPC are in private subnets of one network. `id`: the network, and the subnets' ids, sorted, joined by `+`. */
export const privateLegsKind: Kind = defineKind({
  name: 'private_legs',
  header: (_reader, id) => ({ value: { id }, refs: [] }),
  items: {
    table: 'port',
    index: 'network_id',
    sourceKeys: (id) => [networkOf(id)],
    compute: (reader, port, id) => {
      const { device_id: inVpc } = port;
      if (!inVpc.endsWith(VPC_END)) return [];
      const ids = idsOf(id);
      if (!privatesOf(reader, port).some((subnet) => ids.includes(subnet.id))) return [];
      const ports = reader.by('port', 'device_id', `${inVpc.slice(0, -VPC_END.length)}${LEG_END}`);
      const leg = ports.find((one) => inVpcOf(one) === inVpc && isSamePod(one, port) && isBound(one));
      return leg === undefined ? [] : [{ key: port.id, value: groupMember(leg), refs: [] }];
    },
  },
});

/** Has the port an address in a subnet of its network, or may it say that it has one? A node's port is never taken to. */
export function isInSubnet(
  port: Pick<PortRow, 'device_owner' | 'fixed_ips' | 'allowed_address_pairs'>,
  subnet: Pick<SubnetRow, 'id' | 'cidr'>,
): boolean {
  if (port.device_owner === NODE_OWNER) return false;
  if (port.fixed_ips.some((one) => one.subnet_id === subnet.id)) return true;
  const prefix = parseCidr(subnet.cidr);
  return prefix !== undefined && port.allowed_address_pairs.some((pair) => touches(prefix, pair.ip_address));
}

function touches(subnet: IpPrefix, text: string): boolean {
  const pair = parseIpOrCidr(text);
  return pair !== undefined && cidrsOverlap(subnet, pair);
}

function networkOf(sliceId: string): string {
  return sliceId.slice(0, sliceId.indexOf('/'));
}

function idsOf(sliceId: string): readonly string[] {
  const [, ids = ''] = sliceId.split('/');
  return ids.split('+');
}
