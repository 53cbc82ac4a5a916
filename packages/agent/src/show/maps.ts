import {
  CB_DIR_INGRESS,
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_SERVICE,
  CB_ENDPOINT_VIF,
  CB_FLOOD_VIF,
  CB_FLOW_CLOSED,
  CB_FLOW_CLOSING,
  CB_FLOW_ESTABLISHED,
  CB_FLOW_NEW,
  CB_PEER_F_UPLINK,
  CB_ROUTE_NEXTHOP,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  CB_VIF_F_DHCP,
  CB_VIF_F_PEER,
  type CbEndpoint,
  MAPS,
} from '../bpf/abi.gen.ts';
import type { MapSpec } from '../bpf/codec.ts';
import { formatAddress, formatMac, formatPrefix, formatUuid } from '../plan/address.ts';
import { type Names, number } from './names.ts';

/** One map entry in users' names. */
export type Row = Readonly<Record<string, string | number | boolean>>;

/** Maps that are shown: those the agent writes, and the flow table. */
export const SHOWN_MAPS = [
  'cb_vif_1',
  'cb_slot_1',
  'cb_source_1',
  'cb_ep_1',
  'cb_mac_1',
  'cb_route_1',
  'cb_class_1',
  'cb_rule_1',
  'cb_flood_1',
  'cb_peer_1',
  'cb_hop_1',
  'cb_flow_1',
] as const;

export type ShownMap = (typeof SHOWN_MAPS)[number];

type RawEntry = { readonly key: Uint8Array; readonly value: Uint8Array };

/** Shows one raw entry. */
export function showEntry(map: ShownMap, entry: RawEntry, names: Names): Row {
  return SHOW[map](entry, names);
}

type Show = (entry: RawEntry, names: Names) => Row;

const SHOW: Readonly<Record<ShownMap, Show>> = {
  cb_vif_1: showing(MAPS.cb_vif_1, (key, vif, names) => ({
    port: names.port(key.ifindex),
    port_id: formatUuid(vif.portId),
    device: names.device(key.ifindex),
    network: names.network(vif.vni),
    mac: formatMac(vif.mac),
    address: formatAddress(vif.addr),
    policy: names.policy(vif.policy),
    flags: vifFlags(vif.flags),
    mtu_bytes: vif.mtuBytes,
    slot: vif.slot,
    dhcp_server: formatAddress(vif.dhcpServer),
  })),
  cb_slot_1: showing(MAPS.cb_slot_1, (key, slot, names) => ({
    slot: key.slot,
    service_address: serviceAddress(key.slot),
    port: names.port(slot.ifindex),
  })),
  cb_source_1: showing(MAPS.cb_source_1, (key, _value, names) => ({
    port: names.port(key.ifindex),
    mac: formatMac(key.mac),
    source: formatPrefix(key.addr, key.prefixlen - 96),
  })),
  cb_ep_1: showing(MAPS.cb_ep_1, (key, endpoint, names) => ({
    network: names.network(key.vni),
    address: formatAddress(key.addr),
    ...endpointRow(endpoint, names),
  })),
  cb_mac_1: showing(MAPS.cb_mac_1, (key, endpoint, names) => ({
    network: names.network(key.vni),
    ...endpointRow({ ...endpoint, mac: key.mac }, names),
  })),
  cb_route_1: showing(MAPS.cb_route_1, (key, route, names) => ({
    router: names.router(key.vrf),
    destination: formatPrefix(key.addr, key.prefixlen - 32),
    network: names.network(route.vni),
    nexthop: route.kind === CB_ROUTE_NEXTHOP ? formatAddress(route.nexthop) : 'connected',
    mac: formatMac(route.mac),
    mtu_bytes: route.mtuBytes,
  })),
  cb_class_1: showing(MAPS.cb_class_1, (key, value, names) => ({
    policy: names.policy(key.policy),
    remote: formatPrefix(key.addr, key.prefixlen - 32),
    class: number(value.classId),
  })),
  cb_rule_1: showing(MAPS.cb_rule_1, (key, value, names) => ({
    policy: names.policy(key.policy),
    class: key.classId === 0 ? 'any' : number(key.classId),
    direction: key.direction === CB_DIR_INGRESS ? 'ingress' : 'egress',
    family: `IPv${key.family}`,
    protocol: key.prefixlen <= 80 ? 'any' : key.protocol,
    ports: portText(key),
    rule: names.rule(value.rule),
  })),
  cb_flood_1: showing(MAPS.cb_flood_1, (key, flood, names) => ({
    network: names.network(key.vni),
    chunk: key.chunk,
    targets: flood.target
      .slice(0, flood.count)
      .map((one) => (one.kind === CB_FLOOD_VIF ? names.port(one.ifindex) : names.host(formatAddress(one.remote))))
      .join(', '),
  })),
  cb_peer_1: showing(MAPS.cb_peer_1, (key, { flags }, names) => ({
    host: names.host(formatAddress(key.addr)),
    underlay: formatAddress(key.addr),
    received_on: (flags & CB_PEER_F_UPLINK) === 0 ? 'overlay device' : 'uplink',
  })),
  cb_hop_1: showing(MAPS.cb_hop_1, (key, hop, names) => ({
    host: names.host(formatAddress(key.addr)),
    underlay: formatAddress(key.addr),
    next_hop: formatAddress(hop.nexthop),
    ifindex: hop.ifindex,
    mtu_bytes: hop.mtuBytes,
  })),
  cb_flow_1: showing(MAPS.cb_flow_1, (key, flow, names) => ({
    network: names.network(key.zone),
    protocol: key.protocol,
    source: `${formatAddress(key.src)}:${key.sportBe}`,
    destination: `${formatAddress(key.dst)}:${key.dportBe}`,
    from: flow.inIfindex === 0 ? 'overlay' : names.port(flow.inIfindex),
    to:
      flow.outVni === 0 || flow.outIfindex !== 0 ? names.port(flow.outIfindex) : names.host(formatAddress(flow.remote)),
    state: FLOW_STATE[flow.state] ?? String(flow.state),
    epoch: flow.epoch,
    packets: Number(flow.packets),
    bytes: Number(flow.bytes),
  })),
};

const FLOW_STATE: Readonly<Record<number, string>> = {
  [CB_FLOW_NEW]: 'new',
  [CB_FLOW_ESTABLISHED]: 'established',
  [CB_FLOW_CLOSING]: 'closing',
  [CB_FLOW_CLOSED]: 'closed',
};

const ENDPOINT_KIND: Readonly<Record<number, string>> = {
  [CB_ENDPOINT_VIF]: 'local',
  [CB_ENDPOINT_REMOTE]: 'remote',
  [CB_ENDPOINT_GATEWAY]: 'gateway',
  [CB_ENDPOINT_SERVICE]: 'service',
};

function showing<K, V>(spec: MapSpec<K, V>, show: (key: K, value: V, names: Names) => Row): Show {
  return ({ key, value }, names) => show(spec.key.decode(key), spec.value.decode(value), names);
}

function endpointRow(endpoint: CbEndpoint, names: Names): Row {
  const at: Readonly<Record<number, string>> = {
    [CB_ENDPOINT_VIF]: names.port(endpoint.ifindex),
    [CB_ENDPOINT_REMOTE]: names.host(formatAddress(endpoint.remote)),
    [CB_ENDPOINT_GATEWAY]: names.router(endpoint.vrf),
    [CB_ENDPOINT_SERVICE]: endpoint.vrf === 0 ? 'agent' : `agent, ${names.router(endpoint.vrf)}`,
  };
  return {
    mac: formatMac(endpoint.mac),
    kind: ENDPOINT_KIND[endpoint.kind] ?? String(endpoint.kind),
    at: at[endpoint.kind] ?? '',
  };
}

function vifFlags(flags: number): string {
  const named: readonly (readonly [number, string])[] = [
    [CB_VIF_F_ADMIN_UP, 'admin-up'],
    [CB_VIF_F_ANTISPOOF, 'port-security'],
    [CB_VIF_F_DHCP, 'dhcp'],
    [CB_VIF_F_PEER, 'peer'],
  ];
  return named.flatMap(([bit, name]) => ((flags & bit) === 0 ? [] : [name])).join(' ');
}

/** `any`, `80`, `1024-2047`; for ICMP `type 8` or `type 8 code 0`. */
function portText(key: { readonly prefixlen: number; readonly protocol: number; readonly portBe: number }): string {
  const bits = key.prefixlen - 96;
  if (bits <= 0) return 'any';
  if (key.protocol === 1 || key.protocol === 58) {
    return bits <= 8 ? `type ${key.portBe >> 8}` : `type ${key.portBe >> 8} code ${key.portBe & 255}`;
  }
  return bits === 16 ? String(key.portBe) : `${key.portBe}-${key.portBe + 2 ** (16 - bits) - 1}`;
}

function serviceAddress(slot: number): string {
  const value = 0xc6120000 + slot;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}
