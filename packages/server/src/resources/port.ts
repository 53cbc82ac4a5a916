import { type AnyObject, CableError, type Network, type Port, parseIp, SERVICE_MAC } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { GATEWAY, PLACED } from '../engine/hidden.ts';
import { type Broken, type Contribution, contribute, type Given, type Mark } from '../engine/module.ts';
import { NO_PROJECT } from '../engine/slots.ts';
import type { Look, View } from '../engine/view.ts';
import { followed } from './automatic-addresses.ts';
import { checkProfile } from './binding-profile.ts';
import { defaultGroup } from './default-group.ts';
import {
  FLOATING_IP,
  isExternalOwner,
  isServiceOwner,
  isTrusted,
  ROUTER_GATEWAY,
  ROUTER_INTERFACE,
  servicePort,
} from './device-owners.ts';
import { externalMarks } from './external-network.ts';
import { followGateway, moveLeg } from './move-leg.ts';
import { legMarks } from './network-legs.ts';
import { automaticAddress, chooseAddresses, hasAutomatic } from './port-addresses.ts';
import { claimsOfPort, macName } from './port-claims.ts';
import { checkPortSecurity, completePairs, movePairs, parsePortMac } from './port-security.ts';
import { FOREIGN, foreignMarks, isSharedWith } from './sharing.ts';
import { isAutomatic } from './subnet-modes.ts';
import { isPortAddress, prefixOf } from './subnet-range.ts';
import { vifOf } from './vif.ts';

/** Ports: MAC, addresses, binding, default security group. Their status belongs to the host plane. */
export const portModule: Contribution<AnyObject> = contribute<Port>({
  derive: (planning, given) => {
    if (!planning.isService) refuseServiceOwner(given.device_owner ?? '');
    return derivePort(planning, given);
  },
  change: (planning, before, after) => {
    if (planning.isService) return changePort(planning, before, after);
    if (isServiceOwner(before.device_owner)) refuseServiceChange(before, after);
    else if (after.device_owner !== before.device_owner) refuseServiceOwner(after.device_owner);
    const changed = changePort(planning, before, after);
    if (before.device_owner === ROUTER_INTERFACE) moveLeg(planning, before, changed.fixed_ips ?? before.fixed_ips);
    return changed;
  },
  check: (view, port, before) => {
    checkMac(port.mac_address);
    if (before?.['binding:profile'] !== port['binding:profile']) checkProfile(port['binding:profile']);
    if (before?.inactive_bindings !== port.inactive_bindings)
      for (const { profile } of port.inactive_bindings) checkProfile(profile);
    if (before?.security_groups !== port.security_groups) checkOneKind(view, port.security_groups);
    if (before !== undefined && before.mac_address !== port.mac_address) refuseMacOfBound(before, port);
    checkPortSecurity(port, before);
  },
  remove: ({ isService }, port) => {
    if (isServiceOwner(port.device_owner) && !isService) throw servicePort(port, 'deleted');
  },
  claims: claimsOfPort,
  marks: (look, port) => [
    ...networkMarks(look, port),
    ...foreignMarks(look, 'security_group', port.security_groups, port.project_id),
    ...externalMarks(port),
  ],
  references: (port) => {
    const host = port['binding:host_id'] ?? '';
    return [
      ...(port.device_owner === ROUTER_INTERFACE || port.device_owner === ROUTER_GATEWAY
        ? [{ attribute: 'device_id', type: 'router', id: port.device_id, onDelete: 'restrict' } as const]
        : []),
      ...(host === ''
        ? []
        : [{ attribute: 'binding:host_id', type: 'host', id: host, onDelete: 'restrict', mayBeAbsent: true } as const]),
      ...port.inactive_bindings
        .filter((one) => one.host !== host)
        .map(({ host: id }) => {
          const attribute = 'inactive_bindings';
          return { attribute, type: 'host', id, onDelete: 'restrict', mayBeAbsent: true } as const;
        }),
    ];
  },
  broken: brokenPort,
  present: (tables, port) => vifOf(tables, port, port['binding:host_id'] ?? ''),
  madeOf: (tables, port) => {
    const host = port['binding:host_id'] ?? '';
    return host === '' ? [] : [tables.of('host').get(host), tables.of('network').get(port.network_id)];
  },
});

/** Whether answers need a rule is a matter of the port: its groups say it with one voice. One group alone has one. */
function checkOneKind(view: View, groups: readonly string[]): void {
  if (groups.length < 2) return;
  const kinds = new Set(groups.map((id) => view.rely('security_group', id)?.stateful));
  if (kinds.size < 2) return;
  throw new CableError(
    'SecurityGroupConflict',
    'security_groups: some of these groups are stateful and some are stateless; a port has groups of one kind.',
  );
}

/** True when the port is in a network of another project, as that project's machine. */
export function isForeign(port: Owned, network: Pick<Network, 'project_id'>): boolean {
  return port.project_id !== network.project_id && !port.device_owner.startsWith('network:');
}

type Owned = Pick<Port, 'project_id' | 'device_owner'>;

/** True when the port comes into a network that its project does not see. */
function isPlacing(network: Network, port: Owned): boolean {
  return !isSharedWith(network, port.project_id) && isForeign(port, network);
}

function networkMarks(look: Look, port: Port): readonly Mark[] {
  const network = look.get('network', port.network_id);
  if (network === undefined) return [];
  if (!isForeign(port, network)) return legMarks(port, network);
  return [{ kind: FOREIGN, of: { type: 'network', id: network.id }, about: port.project_id }];
}

function* brokenPort(look: Look, port: Port): Iterable<Broken> {
  if (port.project_id === NO_PROJECT && !isExternalOwner(port.device_owner)) {
    yield { rule: 'a port is of a project, unless something leads outside by it', detail: port.device_owner };
  }
  for (const { subnet_id, ip_address } of port.fixed_ips) {
    const subnet = look.get('subnet', subnet_id);
    const ip = parseIp(ip_address);
    if (subnet === undefined || (ip !== undefined && isPortAddress(prefixOf(subnet.cidr), ip, port.device_owner)))
      continue;
    yield {
      rule: 'an address is one of its subnet',
      detail: `${ip_address} is not of subnet ${subnet_id} (${subnet.cidr})`,
    };
  }
  for (const { subnet_id, ip_address } of (port as AnyObject)[GATEWAY] === true ? port.fixed_ips : []) {
    const gateway = look.get('subnet', subnet_id)?.gateway_ip;
    if (gateway === ip_address) continue;
    yield {
      rule: 'a subnet’s gateway does not change under a router’s leg',
      detail: `the leg has ${ip_address}, the gateway of subnet ${subnet_id} is ${gateway}`,
    };
  }
  for (const subnet of hasAutomatic(port) ? look.by('subnet', 'network_id', port.network_id) : []) {
    if (!isAutomatic(subnet) || followed(subnet) !== undefined) continue;
    const expected = automaticAddress(subnet, port.mac_address);
    const found = port.fixed_ips.flatMap((one) => (one.subnet_id === subnet.id ? [one.ip_address] : []));
    if (found.length === 1 && found[0] === expected.ip_address) continue;
    yield {
      rule: 'a port has the EUI-64 address of each subnet of SLAAC, and no other there',
      detail: `of subnet ${subnet.id} it has [${found.join(', ')}] and not ${expected.ip_address}`,
    };
  }
  const kinds = new Set(port.security_groups.map((id) => look.get('security_group', id)?.stateful));
  kinds.delete(undefined);
  if (kinds.size > 1) {
    yield { rule: 'the groups of a port are all stateful or all stateless', detail: port.security_groups.join(', ') };
  }
  const network = look.get('network', port.network_id);
  if (network !== undefined && isPlacing(network, port) && !isPlaced(port)) {
    yield {
      rule: 'a network is not un-shared from a project that has ports there',
      detail: `network ${network.id} of project ${network.project_id} is not shared with ${port.project_id}`,
    };
  }
}

function isPlaced(port: Port): boolean {
  return (port as AnyObject)[PLACED] === true;
}

/** The derived attributes of a new port. */
function derivePort(planning: Planning, given: Given<Port>): Partial<Port> {
  const networkId = given.network_id ?? '';
  const network = planning.plan.get('network', networkId);
  const mac = given.mac_address ?? allocateMac(planning, networkId);
  // All there are, for each revises the network: a port that comes beside a new subnet of SLAAC has the address that it gives.
  const subnets = planning.plan.parts('network', networkId, (look) => look.by('subnet', 'network_id', networkId));
  const addressed = { network_id: networkId, mac_address: mac, device_owner: given.device_owner ?? '' };
  const fixedIps = chooseAddresses(planning, addressed, subnets, given.fixed_ips, []);
  const secure =
    !isTrusted(given.device_owner ?? '') && (given.port_security_enabled ?? network?.port_security_enabled ?? true);
  const groups = given.security_groups ?? (secure ? [defaultGroup(planning, given.project_id).id] : []);
  return {
    mac_address: mac,
    fixed_ips: fixedIps,
    ip_allocation: given.fixed_ips?.length === 0 ? 'none' : 'immediate',
    port_security_enabled: secure,
    security_groups: groups,
    allowed_address_pairs: completePairs(given.allowed_address_pairs ?? [], mac),
    'binding:host_id': given['binding:host_id'] ?? '',
    'binding:profile': given['binding:profile'] ?? {},
    ...(network !== undefined && isPlacing(network, { ...given, device_owner: given.device_owner ?? '' })
      ? { [PLACED]: true }
      : {}),
  };
}

function changePort(planning: Planning, before: Port, given: Port): Partial<Port> {
  const network = planning.plan.get('network', given.network_id);
  const after = withMac(planning, given);
  const isSame = after.fixed_ips === before.fixed_ips && after.mac_address === before.mac_address;
  const subnets = isSame ? [] : planning.plan.by('subnet', 'network_id', after.network_id);
  const fixedIps = isSame
    ? before.fixed_ips
    : chooseAddresses(planning, after, subnets, after.fixed_ips, before.fixed_ips);
  const pairs =
    after.allowed_address_pairs === before.allowed_address_pairs
      ? movePairs(before.allowed_address_pairs, before.mac_address, after.mac_address)
      : completePairs(after.allowed_address_pairs, after.mac_address);
  return {
    ...(after === given ? {} : { mac_address: after.mac_address }),
    fixed_ips: fixedIps,
    allowed_address_pairs: pairs,
    'binding:host_id': after['binding:host_id'] ?? '',
    'binding:profile': after['binding:profile'] ?? {},
    ...(before.device_owner === ROUTER_INTERFACE ? followGateway(planning, before, fixedIps) : {}),
    ...(network !== undefined && !isForeign(before, network) && isPlacing(network, after) ? { [PLACED]: true } : {}),
  };
}

/** A client's null asks for another MAC. */
function withMac(planning: Planning, port: Port): Port {
  const mac: string | null = port.mac_address;
  return mac === null ? { ...port, mac_address: allocateMac(planning, port.network_id) } : port;
}

function allocateMac({ deps, plan }: Planning, networkId: string): string {
  for (let tries = 0; tries < 1000; tries += 1) {
    const mac = deps.macs.next();
    const isTaken = plan.by('port', 'mac_address', mac).some((one) => one.network_id === networkId);
    if (mac !== SERVICE_MAC && !isTaken && !plan.isReserved(macName(networkId, mac))) {
      plan.reserve(macName(networkId, mac));
      return mac;
    }
    deps.macs.jump();
  }
  throw new CableError('TooManyRequestsAtOnce', `Unable to generate unique mac on network ${networkId}.`);
}

/** What Neutron takes for no address at all. */
const NO_MACS: readonly string[] = ['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'];

function checkMac(mac: string): void {
  if (parsePortMac(mac) !== undefined) return;
  if (!NO_MACS.includes(mac))
    throw new CableError('InvalidInput', `Invalid input for operation: a port cannot have the MAC address ${mac}.`);
  throw new CableError('HTTPBadRequest', `Invalid input for mac_address. Reason: '${mac}' is not a valid MAC address.`);
}

function refuseMacOfBound(before: Port, after: Port): void {
  if (before['binding:host_id'] === '' || after['binding:host_id'] !== before['binding:host_id']) return;
  // Of Kubernetes it is the next pod's from now on, which was not plugged with it.
  if ((before['cable:cluster'] ?? null) !== null && after.device_id !== before.device_id) return;
  throw new CableError(
    'PortBound',
    `Unable to complete operation on port ${before.id}, port is already bound, ` +
      `old_mac ${before.mac_address}, new_mac ${after.mac_address}.`,
  );
}

/** A router's leg is made by `add_router_interface` alone: a tenant could otherwise reach into another's router. */
function refuseServiceOwner(owner: string): void {
  if (!owner.startsWith('network:router_') && owner !== FLOATING_IP) return;
  const by = owner === FLOATING_IP ? 'a floating IP' : 'add_router_interface and external_gateway_info';
  throw new CableError('BadRequest', `Bad port request: device_owner ${owner} is set by ${by} only.`);
}

function refuseServiceChange(before: Port, after: Port): void {
  const fixed = ['device_owner', 'device_id', 'mac_address', 'port_security_enabled'] as const;
  const groups = after.security_groups.length > 0 || after.allowed_address_pairs.length > 0;
  const names = before.device_owner === ROUTER_INTERFACE ? fixed : [...fixed, 'fixed_ips' as const];
  if (groups || names.some((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))) {
    throw servicePort(before, 'changed');
  }
}
