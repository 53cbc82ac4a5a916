/**
 * What ports, and lines of protons, are promised of their hosts' bandwidth, and of the packets that these can process (docs/design/qos.md): counted, and refused where a host has said how much it has. Whatever makes more of it
 * promised on a host writes the host's booking, so two cannot promise the same. A port rests on its policy, and on its network where the policy is that's; a policy
 * or network rests on all its ports: else it would not know of a host to which one has just come.
 */
import { createHash } from 'node:crypto';
import {
  CableError,
  type HostBandwidth,
  type Network,
  PACKETS,
  type Port,
  type PortOwner,
  type QosMinimumBandwidthRule,
  type QosMinimumPacketRateRule,
  type StoredPseudowire,
  TUNNELLED,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { keyOfClaim } from '../engine/keys-of.ts';
import type { Broken } from '../engine/module.ts';
import { lookAt, type Plan } from '../engine/plan.ts';
import type { Look, RowOf } from '../engine/view.ts';
import { renamedFrom } from '../hosts/renaming.ts';
import { claimsUnderPrefix, referenceKey, referencesOfType } from '../keys.ts';
import { whereLoaded } from '../not-loaded.ts';
import { macName } from './port-claims.ts';

type Rule = QosMinimumBandwidthRule | QosMinimumPacketRateRule;
type Direction = Rule['direction'];
/** Thousands of bits a second, by physical network and direction; of `PACKETS` thousands of packets a second, of which `any` are all. */
type Rates = Readonly<Record<string, { readonly [direction in Direction]?: number }>>;

const [BITS_RULE, PACKETS_RULE] = ['qos_minimum_bandwidth_rule', 'qos_minimum_packet_rate_rule'] as const;
const BOOKING = 'host_booking';
const DIRECTIONS: readonly Direction[] = ['any', 'egress', 'ingress'];

/** Of a port that is new or has changed. Throws `QosPlacementAllocationUpdateConflict`. */
export function bookPort(planning: Planning, before: Port | undefined, after: Port): void {
  if (before !== undefined && isAsBefore(before, after)) return;
  const hosts = hostsOf(after);
  if (hosts.length === 0) return;
  if ((after.qos_policy_id ?? null) === null) planning.plan.rely('network', after.network_id);
  const policy = policyOf(planning.plan, after);
  if (policy === null || rulesOf(planning.plan, policy).length === 0) return;
  for (const host of hosts) bookHost(planning, host);
}

/** Of all ports of a network that has another policy now. */
export function bookNetwork(planning: Planning, { id, qos_policy_id: policy }: Network): void {
  if (policy === null || rulesOf(planning.plan, policy).length === 0) return;
  bookAll(planning, portsIn(planning.plan, id));
}

/** Of all who have a policy whose rules promise more now; the rule's write revises the policy. */
export function bookPolicy(planning: Planning, policy: string): void {
  const { plan } = planning;
  const networks = usersOf(plan, policy, 'network');
  bookAll(planning, [...usersOf(plan, policy, 'port'), ...networks.flatMap(({ id }) => portsIn(plan, id))]);
}

/** Who has the policy; the plan rests on each port as it is, and that there is nobody else. */
function usersOf<T extends 'port' | 'network'>(plan: Plan, policy: string, type: T): readonly RowOf<T>[] {
  const users = plan.by(type, 'qos_policy_id', policy);
  plan.requireEmpty(
    referencesOfType('qos_policy', policy, type),
    users.map(({ id }) => referenceKey('qos_policy', policy, type, id)),
  );
  if (type === 'port') for (const { id } of users) plan.rely('port', id);
  return users;
}

/** Ports of the network; the plan rests on each as it is, and that there are no others: each has a MAC of the network. */
function portsIn(plan: Plan, networkId: string): readonly Port[] {
  const ports = plan.by('port', 'network_id', networkId);
  plan.requireEmpty(
    claimsUnderPrefix('network', networkId, macName(networkId, '').kind),
    ports.map((port) => keyOfClaim(macName(networkId, port.mac_address))),
  );
  for (const { id } of ports) plan.rely('port', id);
  return ports;
}

/** What is promised on a host, to ports that are there or may come. */
export function bookedOn(look: Pick<Look, 'get' | 'by'>, host: string): Rates {
  const sums = new Map<string, { [direction in Direction]?: number }>();
  const rules = new Map<string, readonly Rule[]>();
  const seen = new Set<string>();
  for (const port of [...look.by('port', 'binding:host_id', host), ...look.by('port', 'standby_hosts', host)]) {
    const policy = seen.has(port.id) ? null : policyOf(look, port);
    seen.add(port.id);
    if (policy === null) continue;
    const known = rules.get(policy) ?? rulesIn(look, policy);
    rules.set(policy, known);
    if (known.length === 0) continue;
    const account = accountOf(look.get('network', port.network_id));
    for (const rule of known) {
      const sum = sums.get(accountOfRule(rule, account)) ?? {};
      sums.set(accountOfRule(rule, account), sum);
      for (const direction of countedOf(rule)) sum[direction] = (sum[direction] ?? 0) + rateOfRule(rule);
    }
  }
  const ofLines = linesOn(look, host);
  for (const direction of ['egress', 'ingress'] as const) {
    if (ofLines[direction] === 0) continue;
    const sum = sums.get(TUNNELLED) ?? {};
    sums.set(TUNNELLED, { ...sum, [direction]: (sum[direction] ?? 0) + ofLines[direction] });
  }
  return Object.fromEntries(sums);
}

/** What the host's uplink keeps free for lines of protons, of which the other end is, or may come to be, on another host. */
function linesOn(look: Pick<Look, 'get' | 'by'>, host: string): { readonly egress: number; readonly ingress: number } {
  const sums = { egress: 0, ingress: 0 };
  for (const owner of [...look.by('port_owner', 'host_id', host), ...look.by('port_owner', 'standby_hosts', host)]) {
    if (!placesOf(owner).includes(host)) continue;
    for (const { port_ids, guaranteed_kbps } of look.by('pseudowire', 'port_ids', owner.id)) {
      const isStart = port_ids[0] === owner.id;
      const others = placesOf(look.get('port_owner', port_ids[isStart ? 1 : 0] ?? ''));
      if (guaranteed_kbps !== null && others.some((one) => one !== host))
        sums[isStart ? 'egress' : 'ingress'] += guaranteed_kbps;
    }
  }
  return sums;
}

/** Hosts whose vrouter carries the port of a proton, or is prepared to. */
export function placesOf(owner: PortOwner | undefined): readonly string[] {
  return owner === undefined || owner.status === null ? [] : [owner.host_id, ...owner.standby_hosts];
}

/** Where what a line is guaranteed is not booked: its hosts, of which one has no booking. */
export function* unbookedLine(look: Look, { port_ids, guaranteed_kbps }: StoredPseudowire): Iterable<Broken> {
  const [from = [], to = []] = port_ids.map((id) => placesOf(look.get('port_owner', id)));
  const hosts = new Set([...from, ...to]);
  if (guaranteed_kbps === null || from.length === 0 || to.length === 0 || hosts.size === 1) return;
  for (const host of hosts) {
    if (look.get(BOOKING, host) !== undefined) continue;
    yield { rule: 'what a line is guaranteed is booked on its hosts', detail: `host ${host} has no booking` };
  }
}

/** What of a port is not booked: a host that it is at, or may come to, has no booking. */
export function* unbookedPort(look: Look, port: Port): Iterable<Broken> {
  const policy = policyOf(look, port);
  if (policy === null || rulesIn(look, policy).length === 0) return;
  for (const host of hostsOf(port)) {
    if (look.get(BOOKING, host) !== undefined) continue;
    yield { rule: 'what a port is promised is booked on its hosts', detail: `host ${host} has no booking` };
  }
}

/** More is promised than was booked. */
export function* overbooked(look: Look, host: string, granted: Rates): Iterable<Broken> {
  for (const { account, direction, rate } of entriesOf(bookedOn(look, host))) {
    const most = rateOf(granted, account, direction) ?? 0;
    if (rate <= most) continue;
    const detail = `${rate} ${unitOf(account)} of ${direction} on ${account} are promised, ${most} were booked`;
    yield { rule: 'what a port is promised is booked on its hosts', detail };
  }
}

/** Placement's words of what a port is promised; null: nothing. */
export function resourceRequest(look: Pick<Look, 'get' | 'by'>, port: Port): Readonly<Record<string, unknown>> | null {
  const policy = policyOf(look, port);
  const rules = policy === null ? [] : rulesIn(look, policy);
  if (rules.length === 0) return null;
  const account = accountOf(look.get('network', port.network_id));
  const place = account === TUNNELLED ? 'CUSTOM_NETWORK_TUNNEL_PROVIDER' : traitOf(`PHYSNET_${account}`);
  const vnic = traitOf(`VNIC_TYPE_${port['binding:vnic_type']}`);
  const groups = [
    { required: [place, vnic], of: rules.filter((rule) => !isOfPackets(rule)) },
    { required: [vnic], of: rules.filter(isOfPackets) },
  ];
  const asked = groups
    .filter(({ of }) => of.length > 0)
    .map(({ required, of }) => ({
      id: groupId(port.id, of.map((rule) => rule.id).sort()),
      required,
      resources: resourcesOf(of),
    }));
  return { request_groups: asked, same_subtree: asked.map(({ id }) => id) };
}

/** Placement's resource classes, and how much of each. */
function resourcesOf(rules: readonly Rule[]): Readonly<Record<string, number>> {
  const resources = rules.map((rule) => [classOf(rule), rateOfRule(rule)] as const);
  return Object.fromEntries(resources.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const PARTS: Readonly<Record<Direction, string>> = { any: '', egress: 'EGR_', ingress: 'IGR_' };

function classOf(rule: Rule): string {
  const part = PARTS[rule.direction];
  return isOfPackets(rule) ? `NET_PACKET_RATE_${part}KILOPACKET_PER_SEC` : `NET_BW_${part}KILOBIT_PER_SEC`;
}

function isOfPackets(rule: Rule): rule is QosMinimumPacketRateRule {
  return 'min_kpps' in rule;
}

function rateOfRule(rule: Rule): number {
  return isOfPackets(rule) ? rule.min_kpps : rule.min_kbps;
}

function accountOfRule(rule: Rule, account: string): string {
  return isOfPackets(rule) ? PACKETS : account;
}

/** What the rule counts against: all packets, of whatever direction, have one bound together. */
function countedOf(rule: Rule): readonly Direction[] {
  return isOfPackets(rule) && rule.direction !== 'any' ? ['any', rule.direction] : [rule.direction];
}

function unitOf(account: string): string {
  return account === PACKETS ? 'thousand packets a second' : 'kbit/s';
}

function traitOf(name: string): string {
  return `CUSTOM_${name.toUpperCase().replace(/[^0-9A-Z_]+/g, '_')}`;
}

/** UUID version 5 (RFC 9562) of the rules in the port: the same as long as it has these rules. */
function groupId(portId: string, rules: readonly string[]): string {
  const hash = createHash('sha1').update(Buffer.from(portId.replaceAll('-', ''), 'hex'));
  const bytes = hash.update(rules.join('.')).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function bookAll(planning: Planning, ports: readonly Port[]): void {
  for (const host of new Set(ports.flatMap(hostsOf))) bookHost(planning, host);
}

/** Writes the host's booking if the plan makes more promised there. */
function bookHost(planning: Planning, host: string): void {
  const { plan } = planning;
  const { now, raised } = raisedOn(planning, host);
  if (raised.length === 0) return;
  const row = plan.get('host', host);
  // What is there already only gets another name.
  const isNew = row !== undefined && renamedFrom(row) === undefined;
  const refusal = isNew ? overOf(row.id, row.bandwidth as HostBandwidth, raised) : undefined;
  if (refusal !== undefined) throw refusal;
  putBooking(plan, host, now);
}

/** What the plan promises of a host, and where that is more than without it. */
function raisedOn({ plan, deps }: Planning, host: string): { readonly now: Rates; readonly raised: readonly Entry[] } {
  const [last, now] = [bookedOn(lookAt(deps), host), bookedOn(plan, host)];
  const isRaised = ({ account, direction, rate }: Entry): boolean => rate > (rateOf(last, account, direction) ?? 0);
  return { now, raised: entriesOf(now).filter(isRaised) };
}

/** Why hosts cannot promise what the plan has lines of protons promised there; undefined: they can. A host that has not said what its tunnels carry promises lines nothing. */
export function refusalOfLines(planning: Planning, hosts: readonly string[]): CableError | undefined {
  for (const host of hosts) {
    const { raised } = raisedOn(planning, host);
    if (raised.length === 0) continue;
    const bandwidth = (planning.plan.get('host', host)?.bandwidth ?? {}) as HostBandwidth;
    const isUnsaid = raised.some(({ account, direction }) => rateOf(bandwidth, account, direction) === undefined);
    const refusal = isUnsaid ? unsaid(host) : overOf(host, bandwidth, raised);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** Writes the bookings of hosts on which the plan has lines of protons promised more. */
export function bookLines(planning: Planning, hosts: readonly string[]): void {
  for (const host of new Set(hosts)) {
    const { now, raised } = raisedOn(planning, host);
    if (raised.length > 0) putBooking(planning.plan, host, now);
  }
}

function unsaid(host: string): CableError {
  return new CableError(
    'QosPlacementAllocationUpdateConflict',
    `Host ${host} has not said what its tunnels carry, so it guarantees nothing: its agent is to be started with --bandwidth ${TUNNELLED}:EGRESS:INGRESS.`,
    { fields: { host, physical_network: TUNNELLED } },
  );
}

function putBooking(plan: Plan, host: string, granted: Rates): void {
  const booking = { id: host, granted };
  if (plan.get(BOOKING, host) === undefined) plan.create(BOOKING, booking);
  else plan.replace(BOOKING, booking);
}

/** Undefined: the host has so much, or has not said how much it has. */
function overOf(host: string, bandwidth: HostBandwidth = {}, raised: readonly Entry[] = []): CableError | undefined {
  for (const { account, direction, rate } of raised) {
    const most = rateOf(bandwidth, account, direction);
    if (most === undefined || rate <= most) continue;
    return new CableError(
      'QosPlacementAllocationUpdateConflict',
      `Host ${host} has ${most} ${unitOf(account)} of ${direction} on ${account}, and its ports would be promised ${rate}: the requested resources would exceed the capacity available.`,
      { fields: { host, physical_network: account, direction } },
    );
  }
  return undefined;
}

type Entry = { readonly account: string; readonly direction: Direction; readonly rate: number };

function entriesOf(rates: Rates): readonly Entry[] {
  return Object.entries(rates).flatMap(([account, sums]) =>
    DIRECTIONS.map((direction) => ({ account, direction, rate: sums[direction] ?? 0 })),
  );
}

/** Physical networks have any names, also those of what every object has. Undefined: nothing is said of it. */
function rateOf(rates: Rates, account: string, direction: Direction): number | undefined {
  return Object.hasOwn(rates, account) ? rates[account]?.[direction] : undefined;
}

/** All hosts that program the port. */
function hostsOf(port: Port): readonly string[] {
  const host = port['binding:host_id'] ?? '';
  if (host === '' || isOfNetwork(port)) return [];
  return [...new Set([host, ...port.standby_hosts])];
}

/** Routers, DHCP and the like are promised nothing. */
function isOfNetwork({ device_owner: owner }: Port): boolean {
  return owner.startsWith('network:');
}

function isAsBefore(before: Port, after: Port): boolean {
  return (
    before['binding:host_id'] === after['binding:host_id'] &&
    String(before.standby_hosts) === String(after.standby_hosts) &&
    before.qos_policy_id === after.qos_policy_id &&
    before.device_owner === after.device_owner
  );
}

/** A port's policy, or that of its network; null: none. */
function policyOf(look: Pick<Look, 'get'>, port: Port): string | null {
  if (isOfNetwork(port)) return null;
  return port.qos_policy_id ?? look.get('network', port.network_id)?.qos_policy_id ?? null;
}

/** Of a policy that is to stay as it is. */
function rulesOf(plan: Plan, policy: string): readonly Rule[] {
  return plan.parts('qos_policy', policy, (look) => rulesIn(look, policy));
}

/** A server may have no such rules loaded. */
function rulesIn(look: Pick<Look, 'by'>, policy: string): readonly Rule[] {
  const packets = whereLoaded(() => look.by(PACKETS_RULE, 'qos_policy_id', policy));
  return [...look.by(BITS_RULE, 'qos_policy_id', policy), ...packets];
}

function accountOf(network: Network | undefined): string {
  return network?.['provider:physical_network'] ?? TUNNELLED;
}
