/**
 * The edges of the compiler. A slice is computed from rows; a host reaches slices.
 *
 *   host:h ---- port (bound to h) ---- network:n ---- router:r ---- network:m   (m: the router's other networks)
 *                  |
 *                  +---- policy:g1+g2 ---- group:g   (g: remote of a rule of g1 or g2)
 *
 *   rows read:  host     port, network (whether it is up)
 *               network  network, subnet, port, router_interface, host (underlay of the endpoints)
 *               router   router, router_interface, subnet
 *               policy   security_group_rule
 *               group    port
 */
import type { Slice, SliceKey } from '@cable/model';
import { groupMember, groupSlice } from './group.ts';
import { hostSlice, localPort, policyKey } from './host.ts';
import { networkRouters, networkSlice } from './network.ts';
import { policyRemoteGroups, policySlice } from './policy.ts';
import { routerNetworks, routerSlice } from './router.ts';
import type { CompilerTables, PortRow, RowChange, TableChange } from './tables.ts';
import { hostOf, isBound, isRouterInterface } from './tables.ts';

/** The slice of a key; undefined: what it names does not exist. */
export function computeSlice(tables: CompilerTables, key: SliceKey): Slice | undefined {
  const { kind, id } = splitKey(key);
  switch (kind) {
    case 'host':
      return hostSlice(tables, id);
    case 'network':
      return networkSlice(tables, id);
    case 'router':
      return routerSlice(tables, id);
    case 'policy':
      return policySlice(tables, id);
    case 'group':
      return groupSlice(tables, id);
  }
}

/** Every slice that makes up the host's state. Some may not exist (a port may be seen before its network). */
export function reachableSlices(tables: CompilerTables, host: string): Set<SliceKey> {
  const reached = new Set<SliceKey>([`host:${host}`]);
  const networks = new Set<string>();
  const policies = new Set<SliceKey>();
  for (const port of tables.port.by('binding:host_id', host)) {
    if (!isBound(port)) continue;
    networks.add(port.network_id);
    const policy = policyKey(port);
    if (policy !== null) policies.add(policy);
  }
  for (const network of networks) reachNetwork(tables, network, reached);
  for (const policy of policies) reachPolicy(tables, policy, reached);
  return reached;
}

/**
 * Keys of the slices that a change may alter, given the tables after it. Never too few, also for one of several changes
 * made at once: a slice depends on a row directly, or through another row whose own change names the slice.
 */
export function affectedSlices(tables: CompilerTables, change: TableChange): Set<SliceKey> {
  const keys = new Set<SliceKey>();
  switch (change.type) {
    case 'network':
      networkAffects(tables, change, keys);
      break;
    case 'router':
      addEach(keys, 'router', idsOf(change));
      break;
    case 'subnet':
      subnetAffects(tables, change, keys);
      break;
    case 'port':
      portAffects(tables, change, keys);
      break;
    case 'security_group_rule':
      for (const port of portsUnderRule(tables, change)) {
        const key = policyKey(port);
        if (key !== null) keys.add(key);
      }
      break;
    case 'host':
      hostAffects(tables, change, keys);
      break;
  }
  return keys;
}

/** Hosts whose reachable slices may differ after the change, given the tables after it. Never too few, as above. */
export function affectedHosts(tables: CompilerTables, change: TableChange): Set<string> {
  const hosts = new Set<string>();
  if (change.type === 'port') portMovesHosts(tables, change, hosts);
  if (change.type === 'host') for (const id of idsOf(change)) hosts.add(id);
  if (change.type === 'security_group_rule' && versions(change).some((rule) => rule.remote_group_id !== null)) {
    for (const port of portsUnderRule(tables, change)) hosts.add(hostOf(port));
  }
  hosts.delete('');
  return hosts;
}

/** The kind of the slice and the id of the thing it is about. */
export function splitKey(key: SliceKey): { readonly kind: Slice['kind']; readonly id: string } {
  const colon = key.indexOf(':');
  return { kind: key.slice(0, colon) as Slice['kind'], id: key.slice(colon + 1) };
}

function reachNetwork(tables: CompilerTables, networkId: string, reached: Set<SliceKey>): void {
  reached.add(`network:${networkId}`);
  for (const router of networkRouters(tables, networkId)) {
    reached.add(`router:${router}`);
    for (const other of routerNetworks(tables, router)) reached.add(`network:${other}`);
  }
}

function reachPolicy(tables: CompilerTables, key: SliceKey, reached: Set<SliceKey>): void {
  reached.add(key);
  for (const group of policyRemoteGroups(tables, splitKey(key).id)) reached.add(`group:${group}`);
}

function networkAffects(tables: CompilerTables, change: RowChange<'network'>, keys: Set<SliceKey>): void {
  addEach(keys, 'network', idsOf(change));
  if (change.before?.admin_state_up === change.after?.admin_state_up) return;
  for (const id of idsOf(change)) addEach(keys, 'host', tables.port.by('network_id', id).filter(isBound).map(hostOf));
}

function subnetAffects(tables: CompilerTables, change: RowChange<'subnet'>, keys: Set<SliceKey>): void {
  for (const subnet of versions(change)) {
    keys.add(`network:${subnet.network_id}`);
    addEach(keys, 'router', tables.router_interface.by('fixed_ips.subnet_id', subnet.id).map(deviceOf));
  }
}

function hostAffects(tables: CompilerTables, change: RowChange<'host'>, keys: Set<SliceKey>): void {
  if ((change.before?.underlay ?? null) === (change.after?.underlay ?? null)) return;
  for (const id of idsOf(change)) {
    for (const port of tables.port.by('binding:host_id', id)) keys.add(`network:${port.network_id}`);
  }
}

/** Each slice kind only if what it holds of the port differs: a change of a port's status touches no slice. */
function portAffects(tables: CompilerTables, change: RowChange<'port'>, keys: Set<SliceKey>): void {
  const { before, after } = change;
  const sides = versions(change);
  if (differ(before, after, (port) => (isBound(port) ? [hostOf(port), localPort(tables, port)] : null))) {
    addEach(keys, 'host', sides.filter(isBound).map(hostOf));
  }
  if (differ(before, after, boundEndpoint) || differ(before, after, routerLeg)) {
    for (const port of sides) keys.add(`network:${port.network_id}`);
  }
  if (differ(before, after, routerLeg)) addEach(keys, 'router', sides.filter(isRouterInterface).map(deviceOf));
  if (differ(before, after, membership)) for (const port of sides) addEach(keys, 'group', port.security_groups);
}

function portMovesHosts(tables: CompilerTables, change: RowChange<'port'>, hosts: Set<string>): void {
  const { before, after } = change;
  const sides = versions(change);
  if (differ(before, after, reachRoot)) for (const port of sides.filter(isBound)) hosts.add(hostOf(port));
  if (!differ(before, after, (port) => (isRouterInterface(port) ? [port.device_id, port.network_id] : null))) return;
  const networks = new Set<string>();
  for (const leg of sides.filter(isRouterInterface)) {
    networks.add(leg.network_id);
    for (const network of routerNetworks(tables, leg.device_id)) networks.add(network);
  }
  for (const network of networks) for (const port of tables.port.by('network_id', network)) hosts.add(hostOf(port));
}

const boundEndpoint = (port: PortRow): unknown =>
  isBound(port) ? [port.network_id, hostOf(port), port.mac_address, port.fixed_ips] : null;

const routerLeg = (port: PortRow): unknown =>
  isRouterInterface(port) ? [port.device_id, port.network_id, port.mac_address, port.fixed_ips] : null;

const membership = (port: PortRow): unknown =>
  port.security_groups.length === 0 ? null : [port.security_groups, groupMember(port)];

const reachRoot = (port: PortRow): unknown => (isBound(port) ? [hostOf(port), port.network_id, policyKey(port)] : null);

const deviceOf = (port: PortRow): string => port.device_id;

function differ(before: PortRow | undefined, after: PortRow | undefined, part: (port: PortRow) => unknown): boolean {
  return JSON.stringify(before && part(before)) !== JSON.stringify(after && part(after));
}

function portsUnderRule(tables: CompilerTables, change: RowChange<'security_group_rule'>): Set<PortRow> {
  return new Set(versions(change).flatMap((rule) => tables.port.by('security_groups', rule.security_group_id)));
}

function versions<T>(change: { readonly before: T | undefined; readonly after: T | undefined }): T[] {
  const found: T[] = [];
  if (change.before !== undefined) found.push(change.before);
  if (change.after !== undefined) found.push(change.after);
  return found;
}

function idsOf(change: { readonly before: Identified | undefined; readonly after: Identified | undefined }): string[] {
  return versions(change).map((row) => row.id);
}

type Identified = { readonly id: string };

function addEach(keys: Set<SliceKey>, kind: Slice['kind'], ids: Iterable<string>): void {
  for (const id of ids) keys.add(`${kind}:${id}`);
}
