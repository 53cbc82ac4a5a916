import {
  CB_BLOCK_PORTS,
  CB_DELIVER_OVERLAY,
  CB_DIR_INGRESS,
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_LEASED,
  CB_ENDPOINT_NAT,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_ROUTER,
  CB_ENDPOINT_SERVICE,
  CB_ENDPOINT_SHARED,
  CB_ENDPOINT_VIF,
  CB_ENDPOINT_VIP,
  CB_FLOOD_VIF,
  CB_FLOW_CLOSED,
  CB_FLOW_CLOSING,
  CB_FLOW_ESTABLISHED,
  CB_FLOW_NEW,
  CB_FLOW_PICKED_UP,
  CB_FORWARD_F_ONE,
  CB_GROUP_LEFT,
  CB_IN_NET,
  CB_LIFE_LIVE,
  CB_MEMBER_F_DOWN,
  CB_MIRROR_ERSPAN,
  CB_MIRROR_GRE,
  CB_MIRROR_HOST,
  CB_NET_F_DHCP,
  CB_NET_F_EXTERNAL,
  CB_NET_F_LIMITS,
  CB_NET_F_SNOOPED,
  CB_NET_F_STEER,
  CB_NET_F_TRANSIT,
  CB_NET_F_UP,
  CB_PEER_F_MIRROR,
  CB_PEER_F_UPLINK,
  CB_ROUTE_BLACKHOLE,
  CB_ROUTE_BY_SOURCE,
  CB_ROUTE_F_PEER,
  CB_ROUTE_NEXTHOP,
  CB_ROUTE_SERVICE,
  CB_ROUTE_SEVERAL,
  CB_SERVICE_F_LOCAL,
  CB_SERVICE_NET,
  CB_SNAT_F_BLOCKS,
  CB_SOURCE_F_PAIR,
  CB_STEER_ALLOW,
  CB_STEER_F_PORTS,
  CB_STEER_F_PROTOCOL,
  CB_STEER_REROUTE,
  CB_SVC_F_AFFINITY,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  CB_VIF_F_DHCP,
  CB_VIF_F_DHCP6,
  CB_VIF_F_FOLLOWED,
  CB_VIF_F_METER,
  CB_VIF_F_MIRROR_IN,
  CB_VIF_F_MIRROR_OUT,
  CB_VIF_F_PEER,
  CB_VIF_F_RA,
  CB_VIF_F_STATELESS,
  CB_VIF_SERVICE_ADDRESSES,
  CB_WIRE_FLAT,
  CB_WIRE_VLAN,
  CB_WIRE_VXLAN,
  type CbEndpoint,
  type CbFlow,
  type CbJoined,
  type CbMirror,
  type CbRoute,
  type CbSteer,
  type CbTupleKey,
  type CbWay,
  cbFlow,
  MAPS,
} from '../bpf/abi.gen.ts';
import { fieldAt, type MapSpec } from '../bpf/codec.ts';
import { isHeld } from '../guest/joined-groups.ts';
import { formatAddress, formatMac, formatPrefix, formatUuid } from '../plan/address.ts';
import { FORWARD_HEAD_BITS } from '../plan/forwards.ts';
import { rateOf } from '../plan/meters.ts';
import { byDirection, meterRow } from './limits.ts';
import { type Names, number } from './names.ts';

/** One map entry in users' names. */
export type Row = Readonly<Record<string, string | number | boolean>>;

/** Maps that are shown: those the agent writes, and what is learned of guests and flows. */
export const SHOWN_MAPS = [
  'cb_in_1',
  'cb_vif_2',
  'cb_net_1',
  'cb_meter_1',
  'cb_limit_1',
  'cb_limited_1',
  'cb_mirror_1',
  'cb_mirrored_1',
  'cb_tunnel_1',
  'cb_peer_2',
  'cb_source_2',
  'cb_pair_1',
  'cb_ep_2',
  'cb_mac_2',
  'cb_route_2',
  'cb_exit_1',
  'cb_next_1',
  'cb_steer_1',
  'cb_nat_1',
  'cb_snat_1',
  'cb_forward_1',
  'cb_lease_1',
  'cb_block_1',
  'cb_held_1',
  'cb_neigh_1',
  'cb_class_1',
  'cb_rule_1',
  'cb_flood_2',
  'cb_asked_2',
  'cb_joined_1',
  'cb_announce_1',
  'cb_learn_1',
  'cb_hop_1',
  'cb_svc_1',
  'cb_maglev_1',
  'cb_member_1',
  'cb_service_1',
  'cb_backend_1',
  'cb_sticky_1',
  'cb_flow_2',
] as const;

export type ShownMap = (typeof SHOWN_MAPS)[number];

type RawEntry = { readonly key: Uint8Array; readonly value: Uint8Array };

/** Shows one raw entry; undefined: a row that nobody has. */
export function showEntry(map: ShownMap, entry: RawEntry, names: Names): Row | undefined {
  return isTaken(map, entry.value) ? SHOW[map](entry, names) : undefined;
}

/** Arrays whose rows begin with their owner's ID. */
const OWNED: ReadonlySet<ShownMap> = new Set(['cb_vif_2', 'cb_net_1', 'cb_tunnel_1', 'cb_asked_2', 'cb_joined_1']);
const OWNER_BYTES = 16;

function isTaken(map: ShownMap, value: Uint8Array): boolean {
  if (map === 'cb_flow_2') return ((value[LIFE_AT] ?? 0) & 3) === CB_LIFE_LIVE;
  if (map === 'cb_meter_1') return value.some((byte) => byte !== 0);
  if (!OWNED.has(map)) return true;
  return value.subarray(0, OWNER_BYTES).some((byte) => byte !== 0);
}

/** There are very many flow records, most of them free: these are not decoded. */
const LIFE_AT = fieldAt(cbFlow, 'life');

type Show = (entry: RawEntry, names: Names) => Row;

const SHOW: Readonly<Record<ShownMap, Show>> = {
  cb_in_1: showing(MAPS.cb_in_1, (key, { kind, vif, net }, names) => ({
    device: names.device(key.ifindex),
    vlan: key.vlan === 0 ? 'none' : key.vlan,
    ...(kind === CB_IN_NET ? { network: names.network(net) } : { port: names.port(vif) }),
  })),
  cb_vif_2: showing(MAPS.cb_vif_2, (vif, row, names) => ({
    vif,
    port: names.port(vif),
    port_id: formatUuid(row.portId),
    device: names.device(row.ifindex),
    vlan: row.vlan === 0 ? 'none' : row.vlan,
    network: names.network(row.net),
    project: names.project(row.project),
    mac: formatMac(row.mac),
    address: formatAddress(row.addr),
    policy: names.policy(row.policy),
    network_policies: row.networkPolicies === 0 ? 'none' : names.policy(row.networkPolicies),
    flags: flagNames(row.flags, VIF_FLAGS),
    mtu_bytes: row.mtuBytes,
    tells: row.tells,
    service_address: serviceAddress(vif),
    dhcp_server: formatAddress(row.dhcpServer),
    epoch: row.epoch,
  })),
  cb_net_1: showing(MAPS.cb_net_1, (net, row, names) => ({
    net,
    network: names.network(net),
    network_id: formatUuid(row.networkId),
    project: names.project(row.project),
    vni: row.wireId,
    wire: WIRE[row.wire] ?? String(row.wire),
    uplink: row.uplink === 0 ? 'none' : names.device(row.uplink),
    flags: flagNames(row.flags, NET_FLAGS),
    mtu_bytes: row.mtuBytes,
    flood_list: row.floodList,
    flood_chunks: row.floodChunks,
    epoch: row.epoch,
  })),
  cb_meter_1: showing(MAPS.cb_meter_1, (row, meter, names) => ({
    port: names.port(row >> 1),
    direction: (row & 1) === CB_DIR_INGRESS ? 'ingress' : 'egress',
    ...meterRow(meter),
  })),
  cb_limit_1: showing(MAPS.cb_limit_1, ({ net, addr }, { meter }, names) => ({
    network: names.network(net),
    address: formatAddress(addr),
    ...byDirection((direction) => {
      const one = meter[direction];
      return one === undefined ? {} : meterRow(one);
    }),
  })),
  cb_limited_1: showing(MAPS.cb_limited_1, ({ net, addr }, { packets, bytes, over }, names) => ({
    network: names.network(net),
    address: formatAddress(addr),
    ...byDirection((direction) => ({
      packets: Number(packets[direction]),
      bytes: Number(bytes[direction]),
      over_rate: Number(over[direction]),
    })),
  })),
  cb_mirror_1: showing(MAPS.cb_mirror_1, (key, mirror, names) => ({
    port: names.port(key.vif),
    direction: key.direction === CB_DIR_INGRESS ? 'ingress' : 'egress',
    mirror: names.mirror(mirror.number),
    to: mirrorTarget(mirror, names),
    filter: mirror.terms === 0 ? 'none' : `${mirror.terms} kinds`,
    max_kbps: rateOf(mirror.byteCost, 'bytes'),
  })),
  cb_mirrored_1: showing(MAPS.cb_mirrored_1, (key, row, names) => ({
    mirror: names.mirror(key.number),
    packets: Number(row.packets),
    bytes: Number(row.bytes),
    over_rate: Number(row.over),
    lost: Number(row.lost),
    cut: Number(row.cut),
  })),
  cb_tunnel_1: showing(MAPS.cb_tunnel_1, (tunnel, { remote }, names) => ({
    tunnel,
    host: names.host(formatAddress(remote)),
    underlay: formatAddress(remote),
  })),
  cb_peer_2: showing(MAPS.cb_peer_2, (key, { net, flags, vif }, names) => ({
    ...((flags & CB_PEER_F_MIRROR) === 0 ? { network: names.network(net) } : { copies_for: names.port(vif) }),
    vni: key.wireId,
    host: names.host(formatAddress(key.remote)),
    underlay: formatAddress(key.remote),
    received_on: (flags & CB_PEER_F_UPLINK) === 0 ? 'overlay device' : 'uplink',
  })),
  cb_source_2: showing(MAPS.cb_source_2, (key, { flags }, names) => ({
    port: names.port(key.vif),
    mac: formatMac(key.mac),
    source: formatPrefix(key.addr, key.prefixlen - 64),
    may_claim: (flags & CB_SOURCE_F_PAIR) !== 0,
  })),
  cb_pair_1: showing(MAPS.cb_pair_1, (key, _value, names) => ({
    network: names.network(key.net),
    host: names.tunnel(key.tunnel),
    mac: formatMac(key.mac),
    address: formatAddress(key.addr),
  })),
  cb_ep_2: showing(MAPS.cb_ep_2, (key, endpoint, names) => ({
    network: names.network(key.net),
    address: formatAddress(key.addr),
    ...endpointRow(endpoint, names),
  })),
  cb_mac_2: showing(MAPS.cb_mac_2, (key, endpoint, names) => ({
    network: names.network(key.net),
    ...endpointRow({ ...endpoint, mac: key.mac }, names),
  })),
  cb_route_2: showing(MAPS.cb_route_2, (key, route, names) => ({
    router: names.router(key.vrf),
    destination: formatPrefix(key.addr, key.prefixlen - 32),
    network: names.network(route.net),
    nexthop: nextHopOf(route, names),
    mac: formatMac(route.mac),
    mtu_bytes: route.mtuBytes,
    ...(route.outside === 0 ? {} : { floating_ips: names.network(route.outside) }),
    ...((route.flags & CB_ROUTE_F_PEER) === 0 ? {} : { peering: names.router(numberIn(route) || key.vrf) }),
  })),
  cb_exit_1: showing(MAPS.cb_exit_1, (key, route, names) => ({
    router: names.router(key.vrf),
    source: formatPrefix(key.addr, key.prefixlen - 32),
    network: names.network(route.net),
    nexthop: nextHopOf(route, names),
  })),
  cb_next_1: showing(MAPS.cb_next_1, (key, { count, hop }, names) => ({
    router: names.router(key.vrf),
    destination: formatPrefix(key.addr, key.prefixlen - 32),
    nexthops: hop
      .slice(0, count)
      .map((one) => `${formatAddress(one.nexthop)} in ${names.network(one.net)}`)
      .join(', '),
  })),
  cb_steer_1: showing(MAPS.cb_steer_1, (key, { count, steer }, names) => ({
    router: names.router(key.vrf),
    policies: steer
      .slice(0, count)
      .map((one) => steerText(one, names))
      .join('; '),
  })),
  cb_nat_1: showing(MAPS.cb_nat_1, (key, nat, names) => ({
    network: names.network(key.net),
    address: formatAddress(key.addr),
    becomes: formatAddress(nat.to),
    in: names.network(nat.toNet),
    router: names.router(nat.vrf),
  })),
  cb_snat_1: showing(MAPS.cb_snat_1, ({ vrf }, snat, names) => ({
    router: names.router(vrf),
    network: names.network(snat.net),
    address: formatAddress(snat.addr),
    ports: (snat.flags & CB_SNAT_F_BLOCKS) !== 0 ? 'leased' : `${snat.firstPort}-${snat.lastPort}`,
  })),
  cb_lease_1: showing(MAPS.cb_lease_1, ({ vrf, vif, net, addr }, lease, names) => ({
    router: names.router(vrf),
    sender: vif === 0 ? `${formatAddress(addr)} in ${names.network(net)}` : names.port(vif),
    address: formatAddress(lease.addr),
    ports: lease.block.slice(0, lease.count).map(portsOfBlock).join(', '),
    leaves: lease.exit === 0 ? 'gateway' : 'here',
  })),
  cb_block_1: showing(MAPS.cb_block_1, ({ net, block, addr }, { tunnel }, names) => ({
    network: names.network(net),
    address: formatAddress(addr),
    ports: portsOfBlock(block),
    at: names.tunnel(tunnel),
  })),
  cb_held_1: showing(MAPS.cb_held_1, ({ block, addr }, { usedNs, wantedNs }) => ({
    address: formatAddress(addr),
    ports: portsOfBlock(block),
    used: usedNs !== 0n,
    wanted: wantedNs !== 0n,
  })),
  cb_forward_1: showing(MAPS.cb_forward_1, (key, forward, names) => ({
    network: names.network(key.net),
    protocol: key.protocol,
    address: formatAddress(key.addr),
    port: key.portBe,
    bits: key.prefixlen - FORWARD_HEAD_BITS,
    leads_to: formatAddress(forward.to),
    ports: (forward.flags & CB_FORWARD_F_ONE) !== 0 ? `${forward.toFirst}` : `${forward.toFirst} at ${forward.first}`,
    in: names.network(forward.toNet),
    router: names.router(forward.vrf),
  })),
  cb_neigh_1: showing(MAPS.cb_neigh_1, (key, { mac, learnedNs }, names) => ({
    network: names.network(key.net),
    address: formatAddress(key.addr),
    mac: learnedNs === 0n ? 'unknown' : formatMac(mac),
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
  cb_flood_2: showing(MAPS.cb_flood_2, (key, flood, names) => ({
    network: names.network(key.net),
    list: key.list,
    chunk: key.chunk,
    targets: flood.target
      .slice(0, flood.count)
      .map(({ kind, id }) => (kind === CB_FLOOD_VIF ? names.port(id) : names.tunnel(id)))
      .join(', '),
  })),
  cb_asked_2: showing(MAPS.cb_asked_2, (vif, row, names) => ({
    port: names.port(vif),
    port_id: formatUuid(row.portId),
    counts: row.fromNs !== 0n && isOver(row.fromNs) && !isOver(row.untilNs),
  })),
  cb_joined_1: showing(MAPS.cb_joined_1, (vif, row, names) => ({
    port: names.port(vif),
    port_id: formatUuid(row.portId),
    groups: groupsText(row, (untilNs) => (untilNs & LEFT) === 0n),
    left: groupsText(row, (untilNs) => (untilNs & LEFT) !== 0n && !isOver(untilNs)),
    gets_all: !isOver(row.allUntilNs),
    is_router: !isOver(row.routerUntilNs),
  })),
  cb_announce_1: showing(MAPS.cb_announce_1, (key, { count, tunnel }, names) => ({
    network: names.network(key.net),
    chunk: key.chunk,
    hosts: tunnel
      .slice(0, count)
      .map((one) => names.tunnel(one))
      .join(', '),
  })),
  cb_learn_1: showing(MAPS.cb_learn_1, (key, { vif, tunnel, mac }, names) => ({
    network: names.network(key.net),
    address: formatAddress(key.addr),
    at: placeName(vif, tunnel, names) ?? 'nobody was heard',
    mac: formatMac(mac),
  })),
  cb_hop_1: showing(MAPS.cb_hop_1, (key, hop, names) => ({
    host: names.host(formatAddress(key.addr)),
    underlay: formatAddress(key.addr),
    next_hop: formatAddress(hop.nexthop),
    ifindex: hop.ifindex,
    mtu_bytes: hop.mtuBytes,
  })),
  cb_svc_1: showing(MAPS.cb_svc_1, (key, svc, names) => ({
    network: names.network(key.net),
    address: formatAddress(key.addr),
    protocol: key.protocol,
    port: key.portBe,
    pool: names.pool(svc.pool),
    slots: svc.slots,
    affinity: (svc.flags & CB_SVC_F_AFFINITY) !== 0,
  })),
  cb_maglev_1: showing(MAPS.cb_maglev_1, ({ pool, chunk }, { member }, names) => ({
    pool: names.pool(pool),
    chunk,
    members: [...new Set(member.filter((one) => one !== 0))].map((one) => names.member(one)).join(', '),
  })),
  cb_member_1: showing(MAPS.cb_member_1, (key, member, names) => ({
    member: names.member(key.member),
    pool: names.pool(member.pool),
    network: names.network(member.net),
    address: formatAddress(member.addr),
    port: member.portBe,
    router: names.router(member.vrf),
    cut_off: (member.flags & CB_MEMBER_F_DOWN) !== 0,
  })),
  cb_service_1: showing(MAPS.cb_service_1, ({ scope, addr, protocol, portBe }, service, names) => ({
    scope: names.router(scope),
    address: formatAddress(addr),
    ...(protocol === 0
      ? {}
      : {
          protocol,
          port: portBe,
          service: names.service(service.service),
          list: listText(service.list),
          endpoints: service.count,
          kept: service.total - service.count,
          affinity_s: service.affinityS,
          own_host_only: (service.flags & CB_SERVICE_F_LOCAL) !== 0,
        }),
  })),
  cb_backend_1: showing(MAPS.cb_backend_1, ({ list, chunk }, { backend }) => ({
    list: listText(list),
    chunk,
    endpoints: backend
      .filter(({ portBe }) => portBe !== 0)
      .map(({ addr, portBe }) => `${formatAddress(addr)} ${portBe}`)
      .join(', '),
  })),
  cb_sticky_1: showing(MAPS.cb_sticky_1, ({ service, client }, { addr, portBe, begunNs }, names) => ({
    scope: names.router(service.scope),
    address: formatAddress(service.addr),
    protocol: service.protocol,
    port: service.portBe,
    client: formatAddress(client),
    endpoint: `${formatAddress(addr)} ${portBe}`,
    begun_s_ago: Number((process.hrtime.bigint() - begunNs) / 1_000_000_000n),
  })),
  cb_flow_2: showing(MAPS.cb_flow_2, flowRow),
};

/** `ns` of CLOCK_MONOTONIC; 0: never began. */
function isOver(ns: bigint): boolean {
  return ns <= process.hrtime.bigint();
}

const LEFT = BigInt(CB_GROUP_LEFT);

/** Groups of the places that hold one and are such. (Whoever answers nothing stays in what is out of date.) */
function groupsText({ group, answeredS }: CbJoined, isWanted: (untilNs: bigint) => boolean): string {
  const now = process.hrtime.bigint();
  return group
    .filter((one) => isHeld({ answeredS }, one, now) && isWanted(one.untilNs))
    .map(({ addr }) => formatAddress(addr))
    .join(' ');
}

/** A list of endpoints, as its number is shown. */
function listText(list: bigint): string {
  return list === 0n ? 'none' : list.toString(16).padStart(16, '0');
}

/** Of a route to a peer or to Services: of the peering or scope. 0: the route says what a side lets through. */
function numberIn({ nexthop }: CbRoute): number {
  return new DataView(nexthop.buffer, nexthop.byteOffset).getUint32(0, true);
}

function steerText(steer: CbSteer, names: Names): string {
  const { action, src, srcMask, dst, dstMask, net, protocol, flags, route } = steer;
  const does = action === CB_STEER_ALLOW ? 'allow' : action === CB_STEER_REROUTE ? 'reroute' : 'drop';
  return [
    ...[does, ...(net === 0 ? [] : [`in ${names.network(net)}`])],
    ...(isZero(srcMask) ? [] : [`from ${formatPrefix(src, maskLength(srcMask))}`]),
    ...(isZero(dstMask) ? [] : [`to ${formatPrefix(dst, maskLength(dstMask))}`]),
    ...((flags & CB_STEER_F_PROTOCOL) === 0 ? [] : [`protocol ${protocol}`]),
    ...((flags & CB_STEER_F_PORTS) === 0 ? [] : portTexts(steer)),
    ...(action === CB_STEER_REROUTE ? [`by ${formatAddress(route.nexthop)} in ${names.network(route.net)}`] : []),
  ].join(' ');
}

/** Of either end, where not every port will do. */
function portTexts({ firstSport, lastSport, firstDport, lastDport }: CbSteer): readonly string[] {
  return [
    ...(firstSport === 0 && lastSport === 65_535 ? [] : [`from ports ${firstSport}-${lastSport}`]),
    ...(firstDport === 0 && lastDport === 65_535 ? [] : [`to ports ${firstDport}-${lastDport}`]),
  ];
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function maskLength(mask: Uint8Array): number {
  return mask.reduce((bits, byte) => bits + byte.toString(2).replaceAll('0', '').length, 0);
}

function mirrorTarget({ kind, id, wireId, remote }: CbMirror, names: Names): string {
  if (kind === CB_MIRROR_HOST) return `${names.tunnel(id)}, VNI ${wireId}`;
  if (kind === CB_MIRROR_GRE) return `${formatAddress(remote)}, GRE key ${wireId}`;
  if (kind === CB_MIRROR_ERSPAN) return `${formatAddress(remote)}, ERSPAN session ${wireId}`;
  return names.port(id);
}

/** A flow as its first packet and the first answer were. */
function flowRow(flow: number, { way, tally, tuple }: CbFlow, names: Names): Row {
  const [there, back] = way;
  const [asked, answered] = tuple;
  if (there === undefined || back === undefined || asked === undefined || answered === undefined) return { flow };
  return {
    flow,
    network: names.network(asked.net),
    protocol: asked.protocol,
    ...ends('', asked),
    from: there.inVif === 0 ? far(back, names) : names.port(there.inVif),
    to: there.outVif === 0 ? far(there, names) : names.port(there.outVif),
    state: FLOW_STATE[there.state] ?? String(there.state),
    packets: Number(tally[0]?.packets ?? 0n),
    bytes: Number(tally[0]?.bytes ?? 0n),
    answer_network: names.network(answered.net),
    ...ends('answer_', answered),
    answer_packets: Number(tally[1]?.packets ?? 0n),
    answer_bytes: Number(tally[1]?.bytes ?? 0n),
  };
}

function ends(prefix: string, { src, dst, sportBe, dportBe }: CbTupleKey): Row {
  return {
    [`${prefix}source`]: `${formatAddress(src)}:${sportBe}`,
    [`${prefix}destination`]: `${formatAddress(dst)}:${dportBe}`,
  };
}

/** Where a direction leaves this host. */
function far({ stamp, deliver, tunnel }: CbWay, names: Names): string {
  return stamp !== 0 && deliver === CB_DELIVER_OVERLAY ? names.tunnel(tunnel) : 'overlay';
}

const FLOW_STATE: Readonly<Record<number, string>> = {
  [CB_FLOW_NEW]: 'new',
  [CB_FLOW_ESTABLISHED]: 'established',
  [CB_FLOW_CLOSING]: 'closing',
  [CB_FLOW_CLOSED]: 'closed',
  [CB_FLOW_PICKED_UP]: 'picked up',
};

const WIRE: Readonly<Record<number, string>> = {
  [CB_WIRE_VXLAN]: 'vxlan',
  [CB_WIRE_VLAN]: 'vlan',
  [CB_WIRE_FLAT]: 'flat',
};

const ENDPOINT_KIND: Readonly<Record<number, string>> = {
  [CB_ENDPOINT_VIF]: 'local',
  [CB_ENDPOINT_REMOTE]: 'remote',
  [CB_ENDPOINT_GATEWAY]: 'gateway',
  [CB_ENDPOINT_SERVICE]: 'service',
  [CB_ENDPOINT_VIP]: 'virtual address',
  [CB_ENDPOINT_SHARED]: 'shared',
  [CB_ENDPOINT_NAT]: 'floating',
  [CB_ENDPOINT_ROUTER]: 'router',
  [CB_ENDPOINT_LEASED]: 'leased',
};

function showing<K, V>(spec: MapSpec<K, V>, show: (key: K, value: V, names: Names) => Row): Show {
  return ({ key, value }, names) => show(spec.key.decode(key), spec.value.decode(value), names);
}

function endpointRow(endpoint: CbEndpoint, names: Names): Row {
  const at: Readonly<Record<number, string>> = {
    [CB_ENDPOINT_VIF]: names.port(endpoint.vif),
    [CB_ENDPOINT_REMOTE]: names.tunnel(endpoint.tunnel),
    [CB_ENDPOINT_GATEWAY]: names.router(endpoint.vrf),
    [CB_ENDPOINT_NAT]: endpoint.vif === 0 ? names.router(endpoint.vrf) : names.port(endpoint.vif),
    [CB_ENDPOINT_ROUTER]: names.router(endpoint.vrf),
    [CB_ENDPOINT_LEASED]: names.router(endpoint.vrf),
    [CB_ENDPOINT_SERVICE]: endpoint.vrf === 0 ? 'agent' : `agent, ${names.router(endpoint.vrf)}`,
    [CB_ENDPOINT_SHARED]: placeName(endpoint.vif, endpoint.tunnel, names) ?? 'whoever claims it',
  };
  return {
    mac: formatMac(endpoint.mac),
    kind: ENDPOINT_KIND[endpoint.kind] ?? String(endpoint.kind),
    at: at[endpoint.kind] ?? '',
  };
}

/** Undefined: nowhere. */
function placeName(vif: number, tunnel: number, names: Names): string | undefined {
  if (vif !== 0) return names.port(vif);
  return tunnel === 0 ? undefined : names.tunnel(tunnel);
}

type FlagNames = readonly (readonly [flag: number, name: string])[];

const VIF_FLAGS: FlagNames = [
  [CB_VIF_F_ADMIN_UP, 'admin-up'],
  [CB_VIF_F_ANTISPOOF, 'port-security'],
  [CB_VIF_F_DHCP, 'dhcp'],
  [CB_VIF_F_DHCP6, 'dhcp6'],
  [CB_VIF_F_RA, 'ra'],
  [CB_VIF_F_PEER, 'peer'],
  [CB_VIF_F_STATELESS, 'stateless'],
  [CB_VIF_F_METER, 'meter'],
  [CB_VIF_F_MIRROR_IN, 'mirror-in'],
  [CB_VIF_F_MIRROR_OUT, 'mirror-out'],
  [CB_VIF_F_FOLLOWED, 'followed'],
];

const NET_FLAGS: FlagNames = [
  [CB_NET_F_UP, 'admin-up'],
  [CB_NET_F_DHCP, 'dhcp'],
  [CB_NET_F_EXTERNAL, 'external'],
  [CB_NET_F_TRANSIT, 'transit'],
  [CB_NET_F_LIMITS, 'limits'],
  [CB_NET_F_STEER, 'policy-routes'],
  [CB_NET_F_SNOOPED, 'igmp-snooping'],
];

function flagNames(flags: number, names: FlagNames): string {
  return names.flatMap(([bit, name]) => ((flags & bit) === 0 ? [] : [name])).join(' ');
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

function serviceAddress(vif: number): string {
  const value = CB_SERVICE_NET + vif * CB_VIF_SERVICE_ADDRESSES;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** First and last port of a block. */
function portsOfBlock(block: number): string {
  const first = block * CB_BLOCK_PORTS;
  return `${first}-${first + CB_BLOCK_PORTS - 1}`;
}

function nextHopOf(route: CbRoute, names: Names): string {
  const { kind, nexthop } = route;
  if (kind === CB_ROUTE_SERVICE) return names.router(numberIn(route));
  if (kind === CB_ROUTE_SEVERAL) return 'several';
  if (kind === CB_ROUTE_BY_SOURCE) return 'by source';
  if (kind === CB_ROUTE_BLACKHOLE) return 'nobody';
  return kind === CB_ROUTE_NEXTHOP ? formatAddress(nexthop) : 'connected';
}
