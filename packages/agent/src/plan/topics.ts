import type { SliceKey } from '@cable/model';
import type { Leg, LocalLeg } from './router-legs.ts';

/**
 * Facts that units state and others read, by topic: the type of the value. A fact has a topic, a key and a member, and may be stated by many
 * units: it stands as long as one of them does. What is stated of one member must not depend on who states it.
 */
export type Topics = {
  /** Key: network. Member: ''. What its entries need to know of it. */
  readonly network: { readonly vni: number; readonly projectId: string };
  /** Key: group and network (`groupTopic`). Member: a prefix (`Prefix.order`) that a member of the group has there. */
  readonly 'group-prefix': null;
  /** Key: network. Member: a port of this host. */
  readonly near: null;
  /** Key: ifindex. Member: a port whose device it is. */
  readonly device: null;
  /** Key: policy in a network (`policyName`). Member: a port of this host that has it. */
  readonly 'policy-use': PolicyUse;
  /** Key: ''. Member: a port of this host that the agent makes the link of. */
  readonly 'machine-port': null;
  /** Key: router that is administratively up. Member: ''. */
  readonly router: null;
  /** Key: router. Member: its interface. */
  readonly 'leg-of': Leg;
  /** Key: network. Member: router and interface. */
  readonly 'leg-in': LocalLeg;
  /** Key: policy in a network. Member: ''. */
  readonly policy: PlannedPolicy;
  /** Key: network. Member: a port of this host that is programmed. */
  readonly 'vif-in': { readonly ifindex: number; readonly policy: number; readonly flags: number };
  /** Key: network. Member: underlay address of another host with endpoints in it. */
  readonly 'host-in': null;
  /** Key: underlay address of a host that may tunnel to this one. Member: ''. */
  readonly peer: null;
};

export type Topic = keyof Topics;

/** Where a policy applies. `projectId`: the port's. */
export type PolicyUse = { readonly policy: SliceKey; readonly networkId: string; readonly projectId: string };

/** A policy in a network, ready for its ports; or why it cannot be programmed. */
export type PlannedPolicy =
  | { readonly ok: true; readonly number: number }
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

/** Key of `group-prefix`: members count only where their network can be reached with their own address. */
export function groupTopic(groupId: string, networkId: string): string {
  return `${groupId}@${networkId}`;
}

/** Name of a policy in a network: its number is made from it. */
export function policyName(policy: SliceKey, networkId: string): string {
  return `${policy}@${networkId}`;
}
