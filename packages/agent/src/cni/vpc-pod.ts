/**
 * A pod of another VPC than its cluster's own: it has a leg in the cluster's network, which is its first interface, and another interface in its VPC (docs/design/pod-vpc.md). Each answers for
 * its own address; what the pod begins goes to its VPC where that leads there, to nodes and Services by the leg, and elsewhere by the VPC if it leads outside, else by the leg.
 */
import { cidrsOverlap, parseCidr, VPC_INTERFACE } from '@cable/model';
import { type AttachmentRequest, attachmentOf } from './attachment.ts';
import type { NetworkWays } from './network-ways.ts';
import { isDefault, type PodRoute } from './pod-link.ts';
import type { PodPort } from './pod-port.ts';
import type { Attachment } from './result.ts';

/** Tables of the pod's namespace by which its interfaces answer; also the priorities of the rules that lead there. */
const TABLES = { leg: 1067, vpc: 1068 } as const;

export type VpcPod = { readonly leg: PodPort; readonly vpc: PodPort };

/** What the pod's interfaces shall be, the leg first: pure, so ADD and CHECK agree. */
export function vpcAttachments(
  request: AttachmentRequest,
  { leg, vpc }: VpcPod,
  ways: NetworkWays,
): readonly Attachment[] {
  const [first, own] = [attachmentOf(request, leg), attachmentOf({ ...request, interfaceName: VPC_INTERFACE }, vpc)];
  const versions = new Set(first.addresses.map(({ address }) => versionOf(address)));
  const isByVpc = ({ destination }: PodRoute): boolean => {
    const version = versionOf(destination);
    return ways.leadsOut.includes(version) || !versions.has(version);
  };
  return [
    {
      ...first,
      // Alone: the prefix of the cluster's pods may be one that the VPC has, too.
      addresses: first.addresses.map(({ address, gateway }) => ({
        address: `${bare(address)}/${bits(address)}`,
        gateway,
      })),
      routes: first.routes.filter((route) => !isDefault(route.destination) || !isByVpc(route)),
      answers: {
        table: TABLES.leg,
        from: first.addresses.map(({ address }) => bare(address)),
        routes: defaults(first),
      },
    },
    ownAttachment(own, vpc, { ways, isByVpc, kept: first.routes.map(({ destination }) => destination) }),
  ];
}

function ownAttachment(
  own: Attachment,
  { port, subnets }: PodPort,
  {
    ways,
    isByVpc,
    kept,
  }: {
    readonly ways: NetworkWays;
    readonly isByVpc: (route: PodRoute) => boolean;
    readonly kept: readonly string[];
  },
): Attachment {
  const has = (id: string): boolean => port.fixed_ips.some((one) => one.subnet_id === id);
  const told = own.routes.filter(({ destination }) => !isDefault(destination));
  const behind = ways.prefixes
    .filter((way) => has(way.subnetId) && !told.some(({ destination }) => destination === way.destination))
    .map(({ destination, gateway }) => ({ destination, gateway }));
  // Nodes, Services and names are reached by the leg, whatever the VPC has routes to; Services with members that no leg leads to, by the VPC.
  const beyond = [...told, ...behind].filter(({ destination }) => !kept.some((one) => contains(one, destination)));
  const served = ways.services
    .filter((way) => has(way.subnetId))
    .map(({ destination, gateway }) => ({ destination, gateway }));
  const onLink = subnets.filter(({ id }) => has(id)).map(({ cidr }) => ({ destination: cidr, gateway: null }));
  return {
    ...own,
    routes: [...beyond, ...served, ...own.routes.filter((route) => isDefault(route.destination) && isByVpc(route))],
    answers: {
      table: TABLES.vpc,
      follows: true,
      from: own.addresses.map(({ address }) => bare(address)),
      routes: [...onLink, ...beyond, ...defaults(own)],
    },
  };
}

/** By the first gateway of each version of IP. */
function defaults({ addresses }: Attachment): readonly PodRoute[] {
  const gateways = addresses.flatMap(({ gateway }) => gateway ?? []);
  return ([4, 6] as const).flatMap((version) => {
    const gateway = gateways.find((one) => versionOf(one) === version);
    return gateway === undefined ? [] : [{ destination: version === 4 ? '0.0.0.0/0' : '::/0', gateway }];
  });
}

/** Wider routes are in nobody's way: the longest counts. */
function contains(kept: string, destination: string): boolean {
  const [one, other] = [parseCidr(kept), parseCidr(destination)];
  if (one === undefined || other === undefined || isDefault(kept)) return false;
  return other.prefixLength >= one.prefixLength && cidrsOverlap(one, other);
}

function bare(address: string): string {
  return address.split('/')[0] ?? '';
}

function bits(address: string): number {
  return versionOf(address) === 4 ? 32 : 128;
}

function versionOf(text: string): 4 | 6 {
  return text.includes(':') ? 6 : 4;
}
