import type { LocalPort, NetworkHeader } from '@cable/model';
import {
  CB_ENDPOINT_VIF,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  CB_VIF_F_DHCP,
  CB_VIF_F_PEER,
} from '../bpf/abi.gen.ts';
import { isMapped, NO_ADDRESS, parseAddress, parseMac, parseUuid } from './address.ts';
import { vifDeviceName } from './device-names.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { guestPort } from './guests.ts';
import type { LocalDevice } from './inputs.ts';
import { METADATA_ADDRESS, type PortSubnet, portSubnets } from './port-subnets.ts';
import { type Source, sourceEntries, sourcesOf } from './sources.ts';
import { policyName } from './topics.ts';
import { type Family, itemFamily, type Output, type PlanReader } from './unit.ts';

/** A port of this host with everything it needs to be programmed. */
type Vif = {
  readonly port: LocalPort;
  readonly network: NetworkHeader;
  readonly device: LocalDevice;
  readonly slot: number;
  /** 0: no policy. */
  readonly policy: number;
  /** CB_VIF_F_*. */
  readonly flags: number;
  readonly mac: Uint8Array;
  readonly id: Uint8Array;
  readonly subnets: readonly PortSubnet[];
  readonly sources: readonly Source[];
};

/** A port of this host: one that cannot be programmed says why, and so drops everything; one without a device waits. */
export const VIFS: Family = itemFamily(
  { name: 'port', slice: 'host', subject: 'port' },
  ({ item: portId }, port, reader) => {
    const vif = resolveVif(portId, port, reader);
    if (vif === undefined) return {};
    return typeof vif === 'string' ? { error: vif } : planVif(portId, vif);
  },
);

function planVif(portId: string, vif: Vif): Output {
  const { port, network, device, slot, policy, flags, mac, sources } = vif;
  const { ifindex } = device;
  const endpoint = endpointOf({ kind: CB_ENDPOINT_VIF, ifindex, flags: flags & CB_VIF_F_PEER, mac });
  const addresses = port.fixedIps.map((ip) => ip.ipAddress);
  return {
    projectId: port.projectId,
    entries: [
      encodeEntry('cb_slot_1', { slot }, { ifindex }),
      // Without port security nothing is looked up there.
      ...sourceEntries(port.portSecurityEnabled ? sources : [], ifindex),
      ...endpointEntries(network.vni, endpoint, addresses),
      vifEntry(vif),
    ],
    facts: [{ topic: 'vif-in', key: port.networkId, member: portId, value: { ifindex, policy, flags } }],
    guest: { ...guestPort(port, network, vif.subnets), slot },
  };
}

function vifEntry({ port, network, device, slot, policy, flags, mac, id, subnets }: Vif): Planned {
  const addresses = port.fixedIps.flatMap((ip) => parseAddress(ip.ipAddress) ?? []);
  const value = {
    portId: id,
    slot,
    vni: network.vni,
    policy,
    flags,
    mtuBytes: network.mtuBytes,
    mac,
    addr: addresses.find(isMapped) ?? NO_ADDRESS,
    addr6: addresses.find((address) => !isMapped(address)) ?? NO_ADDRESS,
    dhcpServer: dhcpServer(subnets),
  };
  return encodeEntry('cb_vif_1', { ifindex: device.ifindex }, value);
}

/** Undefined: the port has no device yet. Text: why it cannot be programmed, whether it has a device or not. */
function resolveVif(portId: string, port: LocalPort, reader: PlanReader): Vif | string | undefined {
  const network = reader.header('network', port.networkId);
  if (network === undefined) return `network ${port.networkId} has not been received`;
  const mac = parseMac(port.macAddress);
  if (mac === undefined) return `mac_address ${port.macAddress} is not a MAC address`;
  const id = parseUuid(port.id);
  if (id === undefined) return `port id ${port.id} is not a UUID`;
  const sources = sourcesOf(port, mac);
  if (typeof sources === 'string') return sources;
  const policy = policyNumber(port, reader);
  if (typeof policy === 'string') return policy;
  const device = reader.device(vifDeviceName(port));
  if (device === undefined) return undefined;
  const others = [...reader.facts('device', String(device.ifindex)).keys()].filter((one) => one !== portId);
  if (others.length > 0) return `device ${device.name} is also that of port ${others.sort().join(', ')}`;
  const slot = reader.slot(portId);
  if (slot === undefined) return 'no service address is free on this host';
  const subnets = portSubnets(port, network);
  return { port, network, device, slot, policy, flags: vifFlags(port, network), mac, id, subnets, sources };
}

/** The port's policy number, 0 with port security off; or why it has none: then nothing may pass. */
function policyNumber(port: LocalPort, reader: PlanReader): number | string {
  if (!port.portSecurityEnabled) return 0;
  if (port.policy === null) return 'the port has port security but no policy';
  const name = policyName(port.policy, port.networkId);
  const planned = reader.facts('policy', name).get('')?.value;
  if (planned === undefined) return `policy ${name} has not been received`;
  return planned.ok ? planned.number : planned.reason;
}

/** Only a pod's veth has its peer in another network namespace, which bpf_redirect_peer demands. */
function vifFlags(port: LocalPort, network: NetworkHeader): number {
  let flags = 0;
  if (port.portSecurityEnabled) flags |= CB_VIF_F_ANTISPOOF;
  if (port.vifKind === 'veth') flags |= CB_VIF_F_PEER;
  if (port.adminStateUp && network.adminStateUp) flags |= CB_VIF_F_ADMIN_UP;
  // Of the network and not of the port: where DHCP answers some, no guest may answer any.
  if (network.subnets.some(({ enableDhcp }) => enableDhcp)) flags |= CB_VIF_F_DHCP;
  return flags;
}

function dhcpServer(subnets: readonly PortSubnet[]): Uint8Array {
  const ipv4 = subnets.filter(({ subnet }) => subnet.ipVersion === 4);
  const served = ipv4.find(({ subnet }) => subnet.enableDhcp) ?? ipv4[0];
  if (served === undefined) return NO_ADDRESS;
  return parseAddress(served.subnet.gatewayIp ?? METADATA_ADDRESS) ?? NO_ADDRESS;
}
