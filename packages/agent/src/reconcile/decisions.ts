import { CB_ROUTE_F_PEER, MAPS } from '../bpf/abi.gen.ts';
import { type ByteText, fieldAt } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { mayDeny } from '../plan/topics.ts';
import type { Due } from './due.ts';
import { isRowMap, type RowMap } from './rows.ts';

/** Is told of a row whose epoch must rise. */
type Raise = (map: RowMap, key: ByteText) => void;

/**
 * Which decisions that flows rest on may be others once something is written. A decision is about the VIFs and the networks at both ends, and
 * rests on their epochs: of those that the kernel holds, this finds the rows whose epoch must rise. (Row keys and parts of keys are compared as
 * byte texts.)
 */
export class Decisions {
  /** Routes by router number. */
  readonly #routes = new Map<ByteText, number>();
  /** Rows of the networks in which a router's number stands, by that, each with the number of entries. */
  readonly #legs = new Map<ByteText, Map<ByteText, number>>();
  /** VIF rows by policy: of security groups, and of network policies. */
  readonly #users = new Map<ByteText, Set<ByteText>>();

  concern({ map, key, have, want }: Due, raise: Raise): void {
    // A route added to a router that has routes may take packets from a shorter one. Other additions revoke nothing: a class of a longer
    // prefix holds at least the rules of the prefix around it, and refusals are not remembered in flows. But where something is denied a class of
    // its own may have less.
    // Policy routes come before all routes; what leaves by its source may leave by a shorter one.
    const mayRevoke =
      map === 'cb_steer_1' ||
      map === 'cb_exit_1' ||
      (map === 'cb_route_2' && this.#routes.has(headOf(key))) ||
      (map === 'cb_class_1' && want !== undefined && want.onlyAllows === undefined && mayDeny(want.unit.scope));
    if (have === undefined && !mayRevoke) return;
    if (isRowMap(map)) raise(map, key);
    else if (map === 'cb_rule_1' || map === 'cb_class_1') each(this.#users.get(headOf(key)), 'cb_vif_2', raise);
    else if (map === 'cb_source_2') raise('cb_vif_2', rowKey(headOf(key)));
    else if (map === 'cb_ep_2' || map === 'cb_mac_2') raise('cb_net_1', rowKey(key));
    else if (map === 'cb_nat_1') for (const net of networksOfNat(key)) raise('cb_net_1', net);
    else if (map === 'cb_forward_1') raise('cb_net_1', netOf(key, FORWARD_NET_AT));
    else if (map === 'cb_snat_1' || map === 'cb_steer_1') each(this.#legs.get(key)?.keys(), 'cb_net_1', raise);
    else if (map === 'cb_lease_1') each(this.#legs.get(key.slice(0, NUMBER_BYTES))?.keys(), 'cb_net_1', raise);
    else if (map === 'cb_svc_1' && have !== undefined) this.#raiseJoined(netOf(key, SVC_NET_AT), raise);
    else if (map === 'cb_member_1' && have !== undefined) this.#raiseJoined(netOf(have.value, MEMBER_NET_AT), raise);
    else if (map === 'cb_route_2' || map === 'cb_next_1' || map === 'cb_exit_1')
      each(this.#legs.get(headOf(key))?.keys(), 'cb_net_1', raise);
    // What a side of a peering lets through is asked of what comes from there.
    if (map === 'cb_route_2' && have !== undefined && isPeered(have.value)) {
      raise('cb_net_1', netOf(have.value, ROUTE_NET_AT));
    }
  }

  /** The kernel holds an entry more, or one less. */
  count(map: AgentMap, key: ByteText, value: ByteText, by: 1 | -1): void {
    if (map === 'cb_route_2') add(this.#routes, headOf(key), by);
    else if (map === 'cb_ep_2' || map === 'cb_mac_2') this.#countLeg(rowKey(key), value, by);
    else if (map === 'cb_nat_1') this.#countExit(key, value, by);
    else if (map === 'cb_vif_2') this.#countUser(key, value, by);
  }

  /** Rows of the VIFs that have the policy whose number an entry of `cb_rule_1` or `cb_class_1` is about. */
  usersOf(key: ByteText): readonly ByteText[] {
    return [...(this.#users.get(headOf(key)) ?? [])];
  }

  /** Clients of a load balancer, and its members, are in its network and in those that routers join to it. */
  #raiseJoined(net: ByteText, raise: Raise): void {
    raise('cb_net_1', net);
    for (const nets of this.#legs.values()) if (nets.has(net)) each(nets.keys(), 'cb_net_1', raise);
  }

  #countLeg(net: ByteText, value: ByteText, by: 1 | -1): void {
    const vrf = value.slice(VRF_AT, VRF_AT + NUMBER_BYTES);
    if (vrf !== NO_NUMBER) this.#count(vrf, net, by);
  }

  #count(vrf: ByteText, net: ByteText, by: 1 | -1): void {
    const nets = this.#legs.get(vrf) ?? new Map<ByteText, number>();
    this.#legs.set(vrf, nets);
    add(nets, net, by);
    if (nets.size === 0) this.#legs.delete(vrf);
  }

  /** The routes by which an address leaves that is translated lead into the external network. */
  #countExit(key: ByteText, value: ByteText, by: 1 | -1): void {
    const [, outside] = networksOfNat(key);
    if (outside !== undefined) this.#count(value.slice(NAT_VRF_AT, NAT_VRF_AT + NUMBER_BYTES), outside, by);
  }

  #countUser(vif: ByteText, value: ByteText, by: 1 | -1): void {
    for (const at of POLICY_ATS) {
      const policy = value.slice(at, at + NUMBER_BYTES);
      const users = this.#users.get(policy) ?? new Set<ByteText>();
      this.#users.set(policy, users);
      if (by > 0) users.add(vif);
      else users.delete(vif);
      if (users.size === 0) this.#users.delete(policy);
    }
  }
}

/** Rows of the network in which an address is translated, and of the external one that it is translated for; there may be none. */
function networksOfNat(key: ByteText): readonly ByteText[] {
  const [net, outside] = [rowKey(key), rowKey(key.slice(2))];
  return outside === NO_NUMBER ? [net] : [net, outside];
}

const NUMBER_BYTES = 4;
const NO_NUMBER = '\0'.repeat(NUMBER_BYTES);
const VRF_AT = fieldAt(MAPS.cb_ep_2.value, 'vrf');
const FORWARD_NET_AT = fieldAt(MAPS.cb_forward_1.key, 'net');
const NAT_VRF_AT = fieldAt(MAPS.cb_nat_1.value, 'vrf');
const SVC_NET_AT = fieldAt(MAPS.cb_svc_1.key, 'net');
const MEMBER_NET_AT = fieldAt(MAPS.cb_member_1.value, 'net');
const ROUTE_NET_AT = fieldAt(MAPS.cb_route_2.value, 'net');
const ROUTE_FLAGS_AT = fieldAt(MAPS.cb_route_2.value, 'flags');
/** Number of the network policies of a VIF, and of the policy that an entry of `cb_rule_1` or `cb_class_1` is about. */
export function networkPoliciesIn(vif: ByteText): ByteText {
  return vif.slice(POLICY_ATS[1], POLICY_ATS[1] + NUMBER_BYTES);
}

export function policyIn(key: ByteText): ByteText {
  return headOf(key);
}

const POLICY_ATS = [fieldAt(MAPS.cb_vif_2.value, 'policy'), fieldAt(MAPS.cb_vif_2.value, 'networkPolicies')] as const;

function isPeered(route: ByteText): boolean {
  return (route.charCodeAt(ROUTE_FLAGS_AT) & CB_ROUTE_F_PEER) !== 0;
}

function each(keys: Iterable<ByteText> | undefined, map: RowMap, raise: Raise): void {
  for (const key of keys ?? []) raise(map, key);
}

function add(counts: Map<ByteText, number>, key: ByteText, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

/** Of an LPM key what follows the prefix length: router, policy, or VIF and the beginning of a MAC. */
function headOf(key: ByteText): ByteText {
  return key.slice(4, 8);
}

/** The key of the row whose number stands there. */
function netOf(text: ByteText, at: number): ByteText {
  return rowKey(text.slice(at));
}

/** The key of the row whose number the text begins with, in 16 bits. */
function rowKey(text: ByteText): ByteText {
  return `${text.slice(0, 2)}\0\0`;
}
