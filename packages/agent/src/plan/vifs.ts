import type { LocalPort, NetworkHeader, SliceKey, SubnetState } from '@cable/model';
import {
  CB_ENDPOINT_VIF,
  CB_IN_VIF,
  CB_MAX_NET,
  CB_MAX_PROJECT,
  CB_MAX_VIF,
  CB_POLICY_NONE,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  CB_VIF_F_CLUSTER_DNS,
  CB_VIF_F_DHCP,
  CB_VIF_F_DHCP6,
  CB_VIF_F_FOLLOWED,
  CB_VIF_F_METER,
  CB_VIF_F_NODE,
  CB_VIF_F_PEER,
  CB_VIF_F_RA,
  CB_VIF_F_STATELESS,
} from '../bpf/abi.gen.ts';
import { CLOUD, logsOf } from '../packet-log/logs-of.ts';
import { loggedPolicies } from '../packet-log/policies-of.ts';
import { isMapped, NO_ADDRESS, parseAddress, parseMac, parseUuid } from './address.ts';
import { type Router6, router6Of } from './advertisements.ts';
import { devicePlace, vifDeviceName, vifVlan } from './device-names.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { guestPort } from './guests.ts';
import type { LocalDevice } from './inputs.ts';
import { meterEntries, narrower, type PortLimits } from './meters.ts';
import { type VifMirrors, vifMirrors } from './mirrors.ts';
import { NODE_OWNER } from './node-port.ts';
import { METADATA_ADDRESS, type PortSubnet, portSubnets } from './port-subnets.ts';
import { sharedAddresses, sharedFacts } from './shared-addresses.ts';
import { type Source, sourceEntries, sourcesOf } from './sources.ts';
import { type OtherTunnel, otherTunnel } from './standby.ts';
import { localName, type PlannedPolicy, policyName, type StatedFact } from './topics.ts';
import { type Family, itemFamily, type Output, type PlanReader } from './unit.ts';

const MAX_VLAN = 4094;

/** A port of this host with everything it needs to be programmed. */
type Vif = {
  readonly port: LocalPort;
  readonly network: NetworkHeader;
  /** Numbers of the VIF, its network, its project and its policy. */
  readonly vif: number;
  readonly net: number;
  readonly project: number;
  readonly policy: number;
  /** Of its network policies; 0: it has none. */
  readonly networkPolicies: number;
  readonly device: LocalDevice;
  /** CB_VIF_F_*. */
  readonly flags: number;
  readonly mac: Uint8Array;
  readonly id: Uint8Array;
  readonly subnets: readonly PortSubnet[];
  readonly sources: readonly Source[];
  /** Of its QoS policy, and of who plugged it. */
  readonly meters: readonly Planned[];
  readonly mirrors: VifMirrors;
  /** One of so many of its flows is told; 0: none. */
  readonly tells: number;
  /** Undefined: it has none. */
  readonly router6: Router6 | undefined;
};

/** A port of this host: one that cannot be programmed says why, and so drops everything; one without a device waits. */
export const VIFS: Family = itemFamily(
  { name: 'port', slice: 'host', subject: 'port' },
  ({ item: portId }, port, reader) => {
    const vif = resolveVif(portId, port, reader);
    if (vif === undefined) return {};
    return typeof vif === 'string' ? { error: vif } : planVif(portId, vif, otherTunnel(port.networkId, portId, reader));
  },
);

/**
 * The same of a port that is to come here, or has left: it is programmed, but the network knows it where it is (`standby.ts`), and what is sent to all goes
 * there.
 */
export const STANDBY_VIFS: Family = itemFamily(
  { name: 'standby port', slice: 'standby', subject: 'port' },
  ({ item: portId }, port, reader) => {
    const vif = resolveVif(portId, port, reader);
    if (vif === undefined) return {};
    return typeof vif === 'string' ? { error: vif } : planStandby(vif);
  },
);

function planStandby(planned: Vif): Output {
  const { port, network, vif } = planned;
  return {
    projectId: port.projectId,
    entries: ownEntries(planned),
    facts: planned.mirrors.facts,
    guest: {
      ...guestPort(port, network, planned.subnets),
      advertisement: planned.router6?.advertisement ?? null,
      vif,
      isHere: false,
    },
  };
}

/** `other`: the tunnel to another host where the port may be, too; undefined: there is none. */
function planVif(portId: string, planned: Vif, other: OtherTunnel | undefined): Output {
  const { port, network, vif, net, mac } = planned;
  const endpoint = endpointOf({ kind: CB_ENDPOINT_VIF, vif, mac, tunnel: other?.tunnel ?? 0 });
  const addresses = port.fixedIps.map((ip) => ip.ipAddress);
  return {
    projectId: port.projectId,
    entries: [...endpointEntries(net, endpoint, addresses), ...ownEntries(planned)],
    facts: [
      { topic: 'vif-in', key: port.networkId, member: portId, value: vif },
      ...(port.portSecurityEnabled
        ? sharedFacts(port.networkId, portId, sharedAddresses(port.allowedAddressPairs), { vif })
        : []),
      ...(other?.facts ?? []),
      ...localAddresses(port, vif),
      ...planned.mirrors.facts,
    ],
    guest: {
      ...guestPort(port, network, planned.subnets),
      advertisement: planned.router6?.advertisement ?? null,
      vif,
      isHere: true,
    },
  };
}

/** By a VIF's service address its first address of either version is meant; the machine itself is asked at any it has. */
function localAddresses({ id, networkId, fixedIps, vifKind, trunk }: LocalPort, vif: number): readonly StatedFact[] {
  const isMachine = vifKind === 'host' && trunk === undefined;
  const addresses = fixedIps.map(({ ipAddress }) => ipAddress);
  const first = [addresses.find((one) => !one.includes(':')), addresses.find((one) => one.includes(':'))];
  return (isMachine ? addresses : first).flatMap((address) =>
    address === undefined
      ? []
      : [
          {
            topic: 'local-address',
            key: localName(networkId, address),
            member: id,
            value: { vif, isMachine },
          } as const,
        ],
  );
}

/** What makes a VIF, wherever the network knows its port. */
function ownEntries(planned: Vif): readonly Planned[] {
  const { port, vif, device, sources } = planned;
  return [
    // Without port security nothing is looked up there.
    ...sourceEntries(port.portSecurityEnabled ? sources : [], vif),
    ...planned.meters,
    ...planned.mirrors.entries,
    vifEntry(planned),
    encodeEntry('cb_in_1', { ifindex: device.ifindex, vlan: vifVlan(port) }, { kind: CB_IN_VIF, vif, net: 0 }),
  ];
}

function vifEntry(planned: Vif): Planned {
  const { port, network, vif, net, project, policy, networkPolicies, device, flags, mac, id, subnets, router6 } =
    planned;
  const addresses = port.fixedIps.flatMap((ip) => parseAddress(ip.ipAddress) ?? []);
  const value = {
    portId: id,
    epoch: 0,
    flags,
    ifindex: device.ifindex,
    policy,
    networkPolicies,
    net,
    vlan: vifVlan(port),
    project,
    tells: planned.tells,
    mtuBytes: network.mtuBytes,
    mac,
    addr: addresses.find(isMapped) ?? NO_ADDRESS,
    addr6: addresses.find((address) => !isMapped(address)) ?? NO_ADDRESS,
    dhcpServer: dhcpServer(subnets),
    router6: router6?.linkLocal ?? NO_ADDRESS,
  };
  return encodeEntry('cb_vif_2', vif, value);
}

/** Undefined: the port has no device yet. Text: why it cannot be programmed, whether it has a device or not. */
function resolveVif(portId: string, port: LocalPort, reader: PlanReader): Vif | string | undefined {
  const network = reader.header('network', port.networkId);
  if (network === undefined) return `network ${port.networkId} has not been received`;
  const { wire } = network;
  if (wire !== undefined && !reader.bridgeMappings.has(wire.physicalNetwork)) {
    return `the network is on physical network ${wire.physicalNetwork}, which this host is not on: start its agent with --bridge-mappings, or move the port`;
  }
  const mac = parseMac(port.macAddress);
  if (mac === undefined) return `mac_address ${port.macAddress} is not a MAC address`;
  const id = parseUuid(port.id);
  if (id === undefined) return `port id ${port.id} is not a UUID`;
  const sources = sourcesOf(port, mac);
  if (typeof sources === 'string') return sources;
  const policy = policyOf(port, reader);
  if (typeof policy === 'string') return policy;
  const policies = networkPoliciesOf(port, reader);
  if (typeof policies === 'string') return policies;
  const device = reader.device(vifDeviceName(port));
  if (device === undefined) return undefined;
  if (device.shut !== undefined) return device.shut;
  const vlan = vifVlan(port);
  if (vlan < 0 || vlan > MAX_VLAN) return `VLAN tag ${vlan} of trunk parent ${port.trunk?.parentPortId} is none`;
  const others = [...reader.facts('device', devicePlace(device.ifindex, vlan)).keys()].filter((one) => one !== portId);
  const place = vlan === 0 ? `device ${device.name}` : `VLAN tag ${vlan} of device ${device.name}`;
  if (others.length > 0) return `${place} is also that of port ${others.sort().join(', ')}`;
  const numbers = numbersOf(port, reader);
  if (typeof numbers === 'string') return numbers;
  const meters = metersOf(port, numbers.vif, device, reader);
  if (typeof meters === 'string') return meters;
  const mirrors = vifMirrors(port, numbers.vif, reader);
  const subnets = portSubnets(port, network);
  const router6 = router6Of(port, network, subnets, reader);
  return {
    port,
    network,
    ...numbers,
    policy: policy.number,
    networkPolicies: policies,
    device,
    flags:
      (vifFlags(port, network, subnets, router6) & ~(device.isWatched || isWired(port, reader) ? CB_VIF_F_PEER : 0)) |
      (policy.isStateless ? CB_VIF_F_STATELESS : 0) |
      (meters.length === 0 ? 0 : CB_VIF_F_METER) |
      (device.isFollowed || isLogged(port, reader) ? CB_VIF_F_FOLLOWED : 0) |
      (reachesNames(port, reader) ? CB_VIF_F_CLUSTER_DNS : 0) |
      mirrors.flags,
    mac,
    id,
    subnets,
    sources,
    meters,
    mirrors,
    tells: reader.exportsFlows ? (port.flowExport ?? 0) : 0,
    router6,
  };
}

/** Services that have names are in force behind a router of its network. */
function reachesNames({ networkId }: LocalPort, reader: PlanReader): boolean {
  const legs = [...reader.facts('leg-in', networkId).values()];
  return legs.some(({ value: { routerId } }) =>
    [...reader.facts('scope-at', routerId).values()].some(({ value }) => value.hasNames),
  );
}

/** Pseudowires begin or end at the port: what is delivered to it must pass its device on this host. */
function isWired({ id }: LocalPort, reader: PlanReader): boolean {
  return reader.facts('wired', id).size > 0;
}

/** Somebody has packets of the port written down. */
function isLogged(port: LocalPort, reader: PlanReader): boolean {
  return logsOf(port, reader.items('logs', CLOUD)).length > 0 || loggedPolicies(port, reader).length > 0;
}

/** Numbers of the port, its network and its project; or why there are none. */
function numbersOf(port: LocalPort, reader: PlanReader): Pick<Vif, 'vif' | 'net' | 'project'> | string {
  const vif = reader.facts('vif', port.id).get('')?.value;
  if (vif === undefined) return `no VIF number is free on this host (it has ${CB_MAX_VIF - 1}): ${FEWER}`;
  const project = reader.facts('project', port.projectId).get('')?.value;
  if (project === undefined) return `no project number is free on this host (it has ${CB_MAX_PROJECT - 1}): ${FEWER}`;
  const net = reader.facts('network', port.networkId).get('')?.value.net;
  if (net !== undefined) return { vif, project, net };
  if (parseUuid(port.networkId) === undefined) return `network id ${port.networkId} is not a UUID`;
  return `no network number is free on this host (it has ${CB_MAX_NET - 1}): ${FEWER}`;
}

const FEWER = 'move ports to another host';

type VifPolicy = { readonly number: number; readonly isStateless: boolean };

/** The port's policy, `CB_POLICY_NONE` where it has none; or why it is not known: then nothing may pass. */
function policyOf(port: LocalPort, reader: PlanReader): VifPolicy | string {
  if (!port.portSecurityEnabled || port.policy === null) return { number: CB_POLICY_NONE, isStateless: false };
  const planned = plannedPolicy(port.policy, port, reader);
  return planned.ok ? planned : planned.reason;
}

/** The same of its network policies, whether port security is on or not; 0: it has none. */
function networkPoliciesOf(port: LocalPort, reader: PlanReader): number | string {
  if (port.networkPolicies === undefined) return 0;
  const planned = plannedPolicy(port.networkPolicies, port, reader);
  return planned.ok ? planned.number : planned.reason;
}

function plannedPolicy(key: SliceKey, { networkId }: LocalPort, reader: PlanReader): PlannedPolicy {
  const name = policyName(key, networkId);
  const planned = reader.facts('policy', name).get('')?.value;
  return planned ?? { ok: false, reason: `policy ${name} has not been received` };
}

/** By its QoS policy, and by who plugged it. */
function metersOf(
  { id, qosPolicyId }: LocalPort,
  vif: number,
  { limits }: LocalDevice,
  reader: PlanReader,
): readonly Planned[] | string {
  const policy = qosPolicyId === undefined ? UNLIMITED : reader.header('qos', qosPolicyId);
  if (policy === undefined) return `QoS policy ${qosPolicyId} has not been received`;
  return meterEntries(vif, limits?.portId === id ? narrower(policy, limits) : policy);
}

const UNLIMITED: PortLimits = { egress: {}, ingress: {} };

/** Only a pod's veth has its peer in another network namespace, which bpf_redirect_peer demands. */
function vifFlags(
  port: LocalPort,
  network: NetworkHeader,
  subnets: readonly PortSubnet[],
  router6: Router6 | undefined,
): number {
  let flags = 0;
  if (port.portSecurityEnabled) flags |= CB_VIF_F_ANTISPOOF;
  if (port.vifKind === 'veth') flags |= CB_VIF_F_PEER;
  if (port.vifKind === 'host' && port.deviceOwner === NODE_OWNER) flags |= CB_VIF_F_NODE;
  if (port.adminStateUp && network.adminStateUp) flags |= CB_VIF_F_ADMIN_UP;
  if (subnets.some(({ subnet }) => subnet.ipVersion === 4 && subnet.enableDhcp)) flags |= CB_VIF_F_DHCP;
  if (subnets.some(({ subnet }) => hasDhcp6(subnet))) flags |= CB_VIF_F_DHCP6;
  if ((router6?.advertisement ?? null) !== null) flags |= CB_VIF_F_RA;
  return flags;
}

/** Whether DHCPv6 gives addresses or configuration there. */
function hasDhcp6({ ipVersion, enableDhcp, ipv6AddressMode: mode }: SubnetState): boolean {
  return ipVersion === 6 && enableDhcp && (mode === 'dhcpv6-stateful' || mode === 'dhcpv6-stateless');
}

function dhcpServer(subnets: readonly PortSubnet[]): Uint8Array {
  const ipv4 = subnets.filter(({ subnet }) => subnet.ipVersion === 4);
  const served = ipv4.find(({ subnet }) => subnet.enableDhcp) ?? ipv4[0];
  if (served === undefined) return NO_ADDRESS;
  return parseAddress(served.subnet.gatewayIp ?? METADATA_ADDRESS) ?? NO_ADDRESS;
}
