import type { SliceKey } from '@cable/model';
import type { Prefix } from './address.ts';
import type { PoolTable, Serving } from './balance.ts';
import type { PlannedBackend } from './cluster-services.ts';
import type { Leg, LocalLeg } from './router-legs.ts';

/**
 * Facts that units state and others read, by topic: the type of the value. A fact has a topic, a key and a member, and may be stated by many
 * units: it stands as long as one of them does. What is stated of one member must not depend on who states it.
 */
export type Topics = {
  /** Key: network that has a number. Member: ''. What others need to know of it. */
  readonly network: PlannedNetwork;
  /** Key: port of this host. Member: ''. Its VIF number. */
  readonly vif: number;
  /** Key: project with something on this host. Member: ''. Its number. */
  readonly project: number;
  /** Key: another host with endpoints (`tunnelName`). Member: ''. Number of the tunnel to it. */
  readonly tunnel: number;
  /** Key: group and network (`groupTopic`). Member: a prefix (`Prefix.order`) that a member of the group has there. */
  readonly 'group-prefix': null;
  /** Key: network with a port of this host. Member: ''. */
  readonly near: null;
  /** Key: device and VLAN tag (`devicePlace`). Member: a port whose place it is. */
  readonly device: null;
  /** Key: policy in a network (`policyName`). Member: a port of this host that has it. */
  readonly 'policy-use': PolicyUse;
  /** Key: network. Member: an address (`Prefix.order`) that this host has there as a node of a Kubernetes cluster. */
  readonly 'node-address': null;
  /** Key: ''. Member: a port of this host that the agent makes the link of. `zone`: of that of a node, its zone; empty: it says none. */
  readonly 'machine-port': { readonly zone: string };
  /** Key: router that is administratively up, the way outside of floating IPs through it (`exitOf`), a peering of it (`peeringOf`), or a scope of Services (`scopeOf`). Member: ''. */
  readonly router: null;
  /** Key: router. Member: a floating IP through it that this host answers for, as its port is here. */
  readonly 'floats-by': null;
  /** Key: router whose gateway another host is. Member: an address of it of which ports here have leased ports. */
  readonly 'leases-by': null;
  /** Key: external network. Member: as whom this host may ask there for its next hops, the best first. */
  readonly asker: PlannedAsker;
  /** Key: network. Member: a router with policy routes that what comes by the network may go to. */
  readonly steered: null;
  /** Key: subnet that leaves by a node that it names. Member: the router that tells of it. Name of that node's host; '': nobody's. */
  readonly 'gateway-node': string;
  /** Key: UID of a pod that has a port in a VPC of its own. Member: that port. Its subnets, and in which versions of IP. */
  readonly 'vpc-pod': readonly { readonly subnetId: string; readonly version: 4 | 6 }[];
  /** Key: router. Member: its interface. */
  readonly 'leg-of': Leg;
  /** Key: router. Member: a scope of Services that is in force behind it. */
  readonly 'scope-at': { readonly cidrs: readonly string[]; readonly hasNames: boolean };
  /** Key: scope of Services. Member: ''. This host lets in what is for its Services from outside: it has the port of a node behind a router of the scope. `addresses`: that port's. */
  readonly 'let-in': { readonly addresses: readonly string[] };
  /** Key: Service. Member: the item of an endpoint of it. */
  readonly 'backend-of': PlannedBackend;
  /** Key: network that a side of a peering lets through. Member: peering, network and subnet of the other side. */
  readonly peered: PeeredPrefix;
  /** Key: network. Member: router and interface. */
  readonly 'leg-in': LocalLeg;
  /** Key: policy in a network. Member: ''. */
  readonly policy: PlannedPolicy;
  /** Key: network. Member: a port of this host that is programmed. Its VIF number. */
  readonly 'vif-in': number;
  /** Key: another host, with which this one exchanges probes (`tunnelName`). Member: ''. Number of the tunnel to it. */
  readonly 'probe-peer': number;
  /** Key: network. Member: another host with endpoints in it (`tunnelName`). Number of the tunnel to it. */
  readonly 'host-in': number;
  /** Key: network and another host with endpoints in it (`peerName`). Member: ''. */
  readonly peer: null;
  /** Key: address in a network (`sharedName`). Member: a port that may have it, and the MAC with which. */
  readonly shared: SharedHolder;
  /** Key: network. Member: an address in it that several ports may have. */
  readonly 'shared-in': null;
  /** Key: network. Member: ''. Networks with a port of this host into which its endpoints may send. */
  readonly reach: readonly PlannedNetwork[];
  /** Key: address in a network (`localName`). Member: the programmed port of this host that has it, and answers probes from it. */
  readonly 'local-address': LocalAddress;
  /** Key: address in an external network (`sharedName`). Member: ''. Id of the QoS policy of what is translated to and from it. */
  readonly limit: string;
  /** Key: external network. Member: an address in it that has such a policy. */
  readonly 'limit-in': null;
  /** Key: mirror of a port of this host. Member: ''. */
  readonly mirror: null;
  /** Key: pool of a load balancer. Member: ''. */
  readonly pool: null;
  /** Key: member of a pool. Member: ''. */
  readonly member: null;
  /** Key: pool. Member: one of its members whose network is known here. */
  readonly 'member-in': Serving;
  /** Key: pool that somebody has part in. Member: ''. */
  readonly 'pool-table': PoolTable;
  /** Key: VPN. Member: underlay address of a host or router that may send with the VPN's label. */
  readonly 'vpn-peer': null;
  /** Key: VPN. Member: where prefixes beyond the VPN's own network are reached, and with which label (`wayName`). */
  readonly 'vpn-way': VpnWay;
  /** Key: port of this host at which a pseudowire begins or ends. Member: ''. */
  readonly wired: null;
};

/** `remote`: underlay address. */
export type VpnWay = { readonly remote: string; readonly label: number };

export type Topic = keyof Topics;

/** `net`: its number. `isTunnelled` false: a physical network carries it. */
export type PlannedNetwork = {
  readonly net: number;
  readonly vni: number;
  readonly projectId: string;
  readonly isTunnelled: boolean;
};

/** `net`: number of the external network. `own`: an address that this host answers for there; undefined: it is to tell nobody that it has one. */
export type PlannedAsker = { readonly net: number; readonly own: Uint8Array | undefined; readonly mac: Uint8Array };

/** What of another network may be reached from one, and reach it. */
export type PeeredPrefix = { readonly networkId: string; readonly prefix: Prefix };

/** `isMachine`: the machine itself has the address. */
export type LocalAddress = { readonly vif: number; readonly isMachine: boolean };

/** Key of `local-address`. */
export function localName(networkId: string, ipAddress: string): string {
  return `${networkId} ${ipAddress}`;
}

/** Where a policy applies. `projectId`: the port's. */
export type PolicyUse = { readonly policy: SliceKey; readonly networkId: string; readonly projectId: string };

/** A policy in a network, ready for its ports; or why it cannot be programmed. */
export type PlannedPolicy =
  | { readonly ok: true; readonly number: number; readonly isStateless: boolean }
  | { readonly ok: false; readonly reason: string };

/** One fact as a unit states it. */
export type StatedFact = {
  readonly [T in Topic]: {
    readonly topic: T;
    readonly key: string;
    readonly member: string;
    readonly value: Topics[T];
  };
}[Topic];

/** In `groupTopic`: members that count wherever packets come from. */
export const EVERY_NETWORK = '';

/** Key of `group-prefix`: members count only where their network can be reached with their own address. */
export function groupTopic(groupId: string, networkId: string): string {
  return `${groupId}@${networkId}`;
}

/** Where a port is that may have an address: a VIF of this host, or behind a tunnel; the other is 0. */
export type SharedHolder = { readonly vif: number; readonly tunnel: number; readonly mac: string };

/** Key of `shared`. */
export function sharedName(networkId: string, address: string): string {
  return `${networkId} ${address}`;
}

/** The two parts of a `sharedName`. */
export function sharedParts(name: string): { readonly networkId: string; readonly address: string } {
  const at = name.indexOf(' ');
  return { networkId: name.slice(0, at), address: name.slice(at + 1) };
}

/** Key of `peer`. */
export function peerName(networkId: string, underlay: string): string {
  return `${networkId} ${underlay}`;
}

/** The two parts of a `peerName`. */
export function peerParts(name: string): { readonly networkId: string; readonly underlay: string } {
  const at = name.indexOf(' ');
  return { networkId: name.slice(0, at), underlay: name.slice(at + 1) };
}

/** Whether the policy (`policyName`) has tiers or private subnets, and so may deny: who gets a class there may get less than before. */
export function mayDeny(policy: string): boolean {
  return policy.startsWith('network_policies:') && policy.includes('|');
}

/** Name of a policy in a network: its number is made from it. */
export function policyName(policy: SliceKey, networkId: string): string {
  return `${policy}@${networkId}`;
}
