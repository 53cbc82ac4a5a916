import { vifKind } from '@cable/compiler';
import { type AnyObject, CableError, type Network, type Port, SERVICE_MAC } from '@cable/model';
import type { WriteContext } from '../engine/context.ts';
import { defineHooks, type Given, type ResourceHooks } from '../engine/module.ts';
import { canWrite } from '../engine/visibility.ts';
import { addressKey, macKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { defaultGroupId, ensureDefaultGroup } from './default-group.ts';
import { chooseAddresses, claimAddresses } from './port-addresses.ts';
import { checkPortSecurity, completePairs, movePairs, parsePortMac } from './port-security.ts';

/** `device_owner` of a router's leg in a network. */
export const ROUTER_INTERFACE = 'network:router_interface';

/** Ports: MAC, addresses, binding, default security group. Their status belongs to the host plane. */
export const portHooks: ResourceHooks<AnyObject> = defineHooks<Port>({
  prepare: (deps, _caller, projectId, listing) => (listing ? Promise.resolve() : ensureDefaultGroup(deps, projectId)),
  create: (context, given) => {
    if (!context.isService) {
      refuseServiceOwner(context, given.device_owner ?? '');
      if (given['binding:vnic_type'] === 'baremetal') requireAdminForMachine(context, 'create');
      refuseOnForeignNetwork(context, 'create', given.network_id ?? '', chosenOf(given));
    }
    return createPort(context, given);
  },
  update: (context, before, after) => {
    if (context.isService) return updatePort(context, before, after);
    if (before.device_owner === ROUTER_INTERFACE) refuseServiceChange(before, after);
    else if (after.device_owner !== before.device_owner) refuseServiceOwner(context, after.device_owner);
    if (after['binding:vnic_type'] !== before['binding:vnic_type']) requireAdminForMachine(context, 'update');
    refuseOnForeignNetwork(context, 'update', before.network_id, changedOf(before, after));
    return updatePort(context, before, after);
  },
  delete: ({ plan, isService }, port) => {
    if (port.device_owner === ROUTER_INTERFACE && !isService) throw servicePort(port, 'deleted');
    plan.release(macKey(port.network_id, port.mac_address));
    for (const { subnet_id, ip_address } of port.fixed_ips) plan.release(addressKey(subnet_id, ip_address));
  },
  references: (port) =>
    port.device_owner === ROUTER_INTERFACE
      ? [{ attribute: 'device_id', type: 'router', id: port.device_id, onDelete: 'restrict' }]
      : [],
  present: (tables, port) => bindingOf(tables, port),
});

/** The derived attributes of a new port; claims its MAC and addresses. */
function createPort(context: WriteContext, given: Given<Port>): Partial<Port> {
  const networkId = given.network_id ?? '';
  const network = context.plan.get('network', networkId) as Network | undefined;
  const mac = given.mac_address ?? allocateMac(context, networkId);
  claimMac(context, networkId, mac, given.id);
  const fixedIps = chooseAddresses(context, networkId, given.fixed_ips, []);
  claimAddresses(context, given.id, networkId, [], fixedIps);
  const secure = given.port_security_enabled ?? network?.port_security_enabled ?? true;
  const usesDefault = secure && !(given.device_owner ?? '').startsWith('network:');
  const groups = given.security_groups ?? (usesDefault ? [defaultGroupId(context, given.project_id)] : []);
  const pairs = completePairs(given.allowed_address_pairs ?? [], mac);
  checkPortSecurity(given.id, secure, groups, pairs);
  return {
    mac_address: mac,
    fixed_ips: fixedIps,
    port_security_enabled: secure,
    security_groups: groups,
    allowed_address_pairs: pairs,
    'binding:host_id': given['binding:host_id'] ?? '',
    'binding:profile': given['binding:profile'] ?? {},
  };
}

function updatePort(context: WriteContext, before: Port, after: Port): Partial<Port> {
  if (after.mac_address !== before.mac_address) changeMac(context, before, after);
  const fixedIps =
    after.fixed_ips === before.fixed_ips
      ? before.fixed_ips
      : chooseAddresses(context, after.network_id, after.fixed_ips, before.fixed_ips);
  claimAddresses(context, after.id, after.network_id, before.fixed_ips, fixedIps);
  const pairs =
    after.allowed_address_pairs === before.allowed_address_pairs
      ? movePairs(before.allowed_address_pairs, before.mac_address, after.mac_address)
      : completePairs(after.allowed_address_pairs, after.mac_address);
  checkPortSecurity(after.id, after.port_security_enabled, after.security_groups, pairs);
  return {
    fixed_ips: fixedIps,
    allowed_address_pairs: pairs,
    'binding:host_id': after['binding:host_id'] ?? '',
    'binding:profile': after['binding:profile'] ?? {},
  };
}

/** How Nova plugs the port. Computed when shown: a host may register after the port was bound to it. */
function bindingOf(tables: Tables, port: Port): Readonly<Record<string, unknown>> {
  const host = port['binding:host_id'] ?? '';
  if (host === '') return { 'binding:vif_type': 'unbound', 'binding:vif_details': {} };
  if (tables.of('host').get(host) === undefined) {
    return { 'binding:vif_type': 'binding_failed', 'binding:vif_details': {} };
  }
  return {
    'binding:vif_type': vifKind(port) === 'tap' ? 'tap' : 'other',
    'binding:vif_details': { port_filter: true, connectivity: 'l2' },
  };
}

function isMacTaken({ tables, plan }: WriteContext, networkId: string, mac: string): boolean {
  const holders = tables.of('port').by('mac_address', mac);
  return holders.some((port) => port.network_id === networkId) || plan.claims(macKey(networkId, mac));
}

/** Neutron's prefix fa:16:3e and three random octets. */
function allocateMac(context: WriteContext, networkId: string): string {
  for (let tries = 0; tries < 1000; tries += 1) {
    const tail = Math.floor(context.deps.random() * 0x1000000)
      .toString(16)
      .padStart(6, '0');
    const mac = `fa:16:3e:${tail.slice(0, 2)}:${tail.slice(2, 4)}:${tail.slice(4)}`;
    if (mac === SERVICE_MAC || isMacTaken(context, networkId, mac)) continue;
    if (context.plan.isReserved(macKey(networkId, mac))) continue;
    context.plan.reserve(macKey(networkId, mac));
    return mac;
  }
  throw new CableError('TooManyRequestsAtOnce', `Unable to generate unique mac on network ${networkId}.`);
}

function claimMac(context: WriteContext, networkId: string, text: string, portId: string): void {
  const mac = parsePortMac(text);
  if (mac === undefined) {
    throw new CableError('InvalidInput', `Invalid input for operation: a port cannot have the MAC address ${text}.`);
  }
  if (isMacTaken(context, networkId, mac)) {
    throw new CableError(
      'MacAddressInUse',
      `Unable to complete operation for network ${networkId}. The mac address ${mac} is in use.`,
    );
  }
  context.plan.claim(macKey(networkId, mac), portId);
}

function changeMac(context: WriteContext, before: Port, after: Port): void {
  if (before['binding:host_id'] !== '' && after['binding:host_id'] === before['binding:host_id']) {
    throw new CableError(
      'PortBound',
      `Unable to complete operation on port ${before.id}, port is already bound, ` +
        `old_mac ${before.mac_address}, new_mac ${after.mac_address}.`,
    );
  }
  claimMac(context, after.network_id, after.mac_address, after.id);
  context.plan.release(macKey(before.network_id, before.mac_address));
}

/** A router's leg is made by `add_router_interface` alone: a tenant could otherwise reach into another's router. */
function refuseServiceOwner(context: WriteContext, owner: string): void {
  if (owner.startsWith('network:router_')) {
    throw new CableError('BadRequest', `Bad port request: device_owner ${owner} is set by add_router_interface only.`);
  }
  if (owner.startsWith('network:') && !context.caller.isAdmin) {
    throw new CableError('PolicyNotAuthorized', 'rule:create_port:device_owner is disallowed by policy');
  }
}

/** With `baremetal` the agent makes a device and routes in the host itself: a tenant must not do that to a hypervisor. */
function requireAdminForMachine(context: WriteContext, verb: 'create' | 'update'): void {
  if (context.caller.isAdmin) return;
  throw new CableError('PolicyNotAuthorized', `rule:${verb}_port:binding:vnic_type is disallowed by policy`);
}

/** What only the owner of the network, or an admin, may choose for a port: on a shared network it could harm the others. */
const OWNERS_CHOICE = ['mac_address', 'port_security_enabled', 'allowed_address_pairs', 'fixed_ips'] as const;

type OwnersChoice = (typeof OWNERS_CHOICE)[number];

function chosenOf(given: Given<Port>): readonly OwnersChoice[] {
  return OWNERS_CHOICE.filter((name) => {
    if (name === 'fixed_ips') return (given.fixed_ips ?? []).some((one) => one.ip_address !== undefined);
    return name === 'allowed_address_pairs' ? (given[name] ?? []).length > 0 : given[name] !== undefined;
  });
}

function changedOf(before: Port, after: Port): readonly OwnersChoice[] {
  return OWNERS_CHOICE.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
}

function refuseOnForeignNetwork(
  { plan, caller }: WriteContext,
  verb: string,
  networkId: string,
  chosen: readonly OwnersChoice[],
): void {
  const network = plan.get('network', networkId);
  if (chosen.length === 0 || network === undefined || canWrite(network, caller)) return;
  const rules = chosen.map((name) => `(rule:${verb}_port:${name})`);
  throw new CableError('PolicyNotAuthorized', `(${rules.join(' and ')}) is disallowed by policy`);
}

function refuseServiceChange(before: Port, after: Port): void {
  const fixed = ['device_owner', 'device_id', 'fixed_ips', 'mac_address', 'port_security_enabled'] as const;
  const groups = after.security_groups.length > 0 || after.allowed_address_pairs.length > 0;
  if (groups || fixed.some((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))) {
    throw servicePort(before, 'changed');
  }
}

function servicePort(port: Port, verb: string): CableError {
  return new CableError(
    'ServicePortInUse',
    `Port ${port.id} cannot be ${verb} directly via the port API: has device owner ${port.device_owner}.`,
  );
}
