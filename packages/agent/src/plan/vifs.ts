import type { LocalPort, NetworkSlice, SubnetState } from '@cable/model';
import { CB_VIF_F_ADMIN_UP, CB_VIF_F_ANTISPOOF, CB_VIF_F_DHCP, CB_VIF_F_PEER, MAPS } from '../bpf/abi.gen.ts';
import type { DesiredVif } from '../desired.ts';
import { isMapped, NO_ADDRESS, parseAddress, parseMac, parseUuid } from './address.ts';
import type { PlanContext } from './context.ts';
import { encodeEntry, type Planned } from './entries.ts';
import type { LocalDevice } from './local.ts';
import { type PlannedPolicy, type PolicyUse, policyName } from './policies.ts';

/** DHCP server identifier and gateway of last resort for service traffic in a subnet without a gateway. */
export const METADATA_ADDRESS = '169.254.169.254';

/** A port of this host that has everything it needs to be programmed. */
export type Vif = {
  readonly port: LocalPort;
  readonly network: NetworkSlice;
  readonly device: LocalDevice;
  readonly slot: number;
  /** 0: no policy. */
  readonly policy: number;
  /** CB_VIF_F_*. */
  readonly flags: number;
  readonly mac: Uint8Array;
};

/** The VIFs to program, in port id order, and why other ports are not (whether they have a device or not). */
export type ResolvedVifs = { readonly vifs: readonly Vif[]; readonly errors: ReadonlyMap<string, string> };

/** Policies to plan: those of every port whose network is known, with or without a device, so that a plug finds them in place. */
export function policyUses(context: PlanContext): readonly PolicyUse[] {
  return (context.host?.ports ?? []).flatMap((port) =>
    port.policy !== null && port.portSecurityEnabled && context.networks.has(port.networkId)
      ? [{ key: port.policy, networkId: port.networkId }]
      : [],
  );
}

/** Decides which local ports can be programmed; one that cannot stays unprogrammed and so drops everything. */
export function resolveVifs(context: PlanContext, policies: ReadonlyMap<string, PlannedPolicy>): ResolvedVifs {
  const vifs: Vif[] = [];
  const errors = new Map<string, string>();
  for (const port of [...(context.host?.ports ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const found = resolveVif(context, policies, port);
    if (typeof found === 'string') errors.set(port.id, found);
    else if (found !== undefined) vifs.push(found);
  }
  return { vifs, errors };
}

/** Devices that programs are attached to: those of all local ports, also of one that is not programmed: it must drop, not leak to the host. */
export function attachedVifs(context: PlanContext): ReadonlyMap<string, DesiredVif> {
  const attached = new Map<string, DesiredVif>();
  for (const { id } of context.host?.ports ?? []) {
    const device = context.local.devices.get(id);
    const slot = context.local.slots.get(id);
    if (device === undefined || slot === undefined) continue;
    attached.set(id, { portId: id, slot, ifindex: device.ifindex, device: device.name });
  }
  return attached;
}

/** Entries of cb_vif_1 and cb_slot_1. */
export function planVif(vif: Vif): readonly Planned[] {
  const { port, network, device, slot } = vif;
  const addresses = port.fixedIps.flatMap((ip) => parseAddress(ip.ipAddress) ?? []);
  const value = {
    portId: parseUuid(port.id) ?? NO_ADDRESS,
    slot,
    vni: network.vni,
    policy: vif.policy,
    flags: vif.flags,
    mtuBytes: network.mtuBytes,
    mac: vif.mac,
    addr: addresses.find(isMapped) ?? NO_ADDRESS,
    addr6: addresses.find((address) => !isMapped(address)) ?? NO_ADDRESS,
    dhcpServer: dhcpServer(port, network),
  };
  return [
    { map: 'cb_slot_1', entry: encodeEntry(MAPS.cb_slot_1, { slot }, { ifindex: device.ifindex }) },
    { map: 'cb_vif_1', entry: encodeEntry(MAPS.cb_vif_1, { ifindex: device.ifindex }, value) },
  ];
}

/** The subnet of each fixed address of the port; an address whose subnet is unknown is left out. */
export function portSubnets(
  port: LocalPort,
  network: NetworkSlice,
): readonly { ipAddress: string; subnet: SubnetState }[] {
  return port.fixedIps.flatMap(({ subnetId, ipAddress }) => {
    const subnet = network.subnets.find((one) => one.id === subnetId);
    return subnet === undefined ? [] : [{ ipAddress, subnet }];
  });
}

function resolveVif(
  context: PlanContext,
  policies: ReadonlyMap<string, PlannedPolicy>,
  port: LocalPort,
): Vif | string | undefined {
  const network = context.networks.get(port.networkId);
  if (network === undefined) return `network ${port.networkId} has not been received`;
  const mac = parseMac(port.macAddress);
  if (mac === undefined) return `mac_address ${port.macAddress} is not a MAC address`;
  if (parseUuid(port.id) === undefined) return `port id ${port.id} is not a UUID`;
  const policy = policyNumber(policies, port);
  if (typeof policy === 'string') return policy;
  const device = context.local.devices.get(port.id);
  const slot = context.local.slots.get(port.id);
  if (device === undefined || slot === undefined) return undefined;
  return { port, network, device, slot, policy, flags: vifFlags(port, network), mac };
}

/** The port's policy number, 0 with port security off; or why it has none: then nothing may pass. */
function policyNumber(policies: ReadonlyMap<string, PlannedPolicy>, port: LocalPort): number | string {
  if (!port.portSecurityEnabled) return 0;
  if (port.policy === null) return 'the port has port security but no policy';
  const planned = policies.get(policyName({ key: port.policy, networkId: port.networkId }));
  if (planned === undefined) return `policy ${port.policy} has not been planned`;
  return planned.ok ? planned.number : planned.reason;
}

/** Only a pod's veth has its peer in another network namespace, which bpf_redirect_peer demands. */
function vifFlags(port: LocalPort, network: NetworkSlice): number {
  let flags = 0;
  if (port.portSecurityEnabled) flags |= CB_VIF_F_ANTISPOOF;
  if (port.vifKind === 'veth') flags |= CB_VIF_F_PEER;
  if (port.adminStateUp) flags |= CB_VIF_F_ADMIN_UP;
  if (portSubnets(port, network).some(({ subnet }) => subnet.enableDhcp)) flags |= CB_VIF_F_DHCP;
  return flags;
}

function dhcpServer(port: LocalPort, network: NetworkSlice): Uint8Array {
  const ipv4 = portSubnets(port, network).filter(({ subnet }) => subnet.ipVersion === 4);
  const served = ipv4.find(({ subnet }) => subnet.enableDhcp) ?? ipv4[0];
  if (served === undefined) return NO_ADDRESS;
  return parseAddress(served.subnet.gatewayIp ?? METADATA_ADDRESS) ?? NO_ADDRESS;
}
