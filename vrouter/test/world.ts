/**
 * A host for packet tests: the real programs over real maps, in a network namespace with a device for each VIF, one for the
 * overlay and one for the service link. Entries are what an agent would write.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { loadTracePrograms, type RawTrace, type TracePrograms } from '../../packages/agent/src/asks/trace-programs.ts';
import {
  CB_DELIVER_COLLECTOR,
  CB_DELIVER_FLOOD,
  CB_DELIVER_FRAGMENTER,
  CB_DELIVER_OVERLAY,
  CB_DELIVER_PEER,
  CB_DELIVER_QUEUE,
  CB_DELIVER_SERVICE,
  CB_DELIVER_UPLINK,
  CB_DELIVER_VIF,
  CB_DELIVER_WAIT,
  CB_DIR_EGRESS,
  CB_DIR_INGRESS,
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_SERVICE,
  CB_ENDPOINT_SHARED,
  CB_ENDPOINT_VIF,
  CB_FAMILY_V4,
  CB_FAMILY_V6,
  CB_FLOOD_TARGETS,
  CB_FLOOD_TUNNEL,
  CB_FLOOD_VIF,
  CB_IN_NET,
  CB_IN_VIF,
  CB_LIFE_LIVE,
  CB_METER_F_DSCP,
  CB_METER_F_SHAPE,
  CB_NET_F_DHCP,
  CB_NET_F_UP,
  CB_PEER_F_PROBE,
  CB_POLICY_NONE,
  CB_QUEUE_CLASS,
  CB_REASON_MAX,
  CB_ROUTE_CONNECTED,
  CB_ROUTE_F_PEER,
  CB_ROUTE_NEXTHOP,
  CB_SOURCE_F_PAIR,
  CB_USE_PASSING,
  CB_USE_PROJECT,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  CB_VIF_F_DHCP,
  CB_VIF_F_FOLLOWED,
  CB_VIF_F_PEER,
  CB_VIF_FRAGMENTS,
  CB_VIF_SERVICE_ADDRESSES,
  CB_WIRE_FLAT,
  CB_WIRE_VLAN,
  CB_WIRE_VXLAN,
  type CbCount,
  type CbFloodTarget,
  type CbFlow,
  type CbTally,
  type CbTraceFlow,
  type CbTupleKey,
  type CbUse,
  type CbWay,
  DROP_REASONS,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex, type ByteText, type MapSpec } from '../../packages/agent/src/bpf/codec.ts';
import { type BpfMap, MAP_TYPE } from '../../packages/agent/src/bpf/map.ts';
import { type LoadedObject, loadObject } from '../../packages/agent/src/bpf/object.ts';
import type { BpfProgram } from '../../packages/agent/src/bpf/program.ts';
import type { RodataValue } from '../../packages/agent/src/bpf/rodata.ts';
import type { SkbContext } from '../../packages/agent/src/bpf/skb.ts';
import { type FlowTimeouts, timeoutBytes } from '../../packages/agent/src/flow-timeouts.ts';
import { ensureIngressFilter } from '../../packages/agent/src/net/filter.ts';
import { inNetns, type Netns, openNetns } from '../../packages/agent/src/net/netns.ts';
import { NetlinkSocket } from '../../packages/agent/src/net/socket.ts';
import { createNetns, type TestNetns } from '../../packages/agent/src/net/testing.ts';
import { enterBank, fillBank } from '../../packages/agent/src/reconcile/program-slots.ts';
import type { HammerWork } from './hammer-worker.ts';
import { ipBytes, macBytes } from './packet.ts';
import { describe, ipText } from './packet-text.ts';

export const SERVICE_MAC = 'fa:16:3e:ca:b1:e0';
export const AGENT_MAC = '02:00:00:00:ca:b0';
export const UPLINK_MAC = '02:00:00:00:ca:b1';
export const OBJECT: string = fileURLToPath(new URL('../../build/vrouter/vrouter.bpf.o', import.meta.url));
const TEST_OBJECT = fileURLToPath(new URL('../../build/vrouter/vrouter-test.bpf.o', import.meta.url));

/** A thread does not inherit the loader of TypeScript. */
const HAMMER_WORKER = `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(${JSON.stringify(new URL('./hammer-worker.ts', import.meta.url).href)});
});`;

/** Flows that a test's table has room for. */
export const FLOWS = 8192;
const NO_ADDRESS = new Uint8Array(16);
/** What each load has for itself, and the timer of the collection, which nobody can read. */
const OWN_MAPS: ReadonlySet<string> = new Set([
  ...['cb_work_1', 'cb_scratch_2', 'cb_enter_1', 'cb_gc_1', 'cb_trace_3', 'cb_told_1'],
]);

/** The 128-bit form of an address. */
export function addr(ip: string): Uint8Array {
  if (ip.includes(':')) return ipBytes(ip);
  return Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), ipBytes(ip)]);
}

/** Bits of the 128-bit form that count in a prefix. */
function bitsOf(ip: string, length: number): number {
  return ip.includes(':') ? length : 96 + length;
}

/** The link-local address of a MAC (RFC 4291, appendix A). */
export function linkLocal(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac);
  const words = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return ipText(ipBytes(`fe80::${words.map((word) => word.toString(16)).join(':')}`));
}

/** One guest on this host. */
export type Guest = {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: string;
  readonly ip: string;
  readonly vni: number;
  /** VIF number. */
  readonly vif: number;
  /** Its address on the service link. */
  readonly service: string;
};

export type GuestOptions = {
  readonly mac: string;
  readonly ip: string;
  /** Other addresses that it has. */
  readonly moreIps?: readonly string[];
  readonly vni: number;
  /** Default CB_POLICY_NONE: everything is allowed. */
  readonly policy?: number;
  /** Number of its network policies; default 0: it has none. */
  readonly networkPolicies?: number;
  /** CB_VIF_F_*; default: anti-spoofing, up, DHCP. */
  readonly flags?: number;
  readonly dhcpServer?: string;
  /** First IPv6 address; it and the link-local address that follows from the MAC are allowed and known. */
  readonly ip6?: string;
  /** Link-local address of its router. */
  readonly router6?: string;
  readonly mtu?: number;
  /** VLAN tag of its frames; default 0: none. */
  readonly vlan?: number;
  /** Project number; default 1. */
  readonly project?: number;
  /** One of so many of its flows is told; default 0: none. */
  readonly tells?: number;
  /** All of them are, as a rate allows. */
  readonly isFollowed?: boolean;
};

/** A direction of a flow. */
export type Direction = {
  readonly flow: number;
  /** 0: that of the first packet. */
  readonly direction: number;
  readonly vni: number;
  readonly tuple: CbTupleKey;
  readonly way: CbWay;
  readonly tally: CbTally;
};

/** Counters of a guest; `drops` by reason. */
export type Counters = CbCount & { readonly drops: readonly bigint[] };

/** One rule, as cb_rule_1 has it. Left out: any. `bits`: of the port that count. */
export type Rule = {
  readonly policy: number;
  readonly direction: 'ingress' | 'egress';
  readonly classId?: number;
  readonly protocol?: number;
  readonly port?: number;
  readonly bits?: number;
  /** Default 4. */
  readonly family?: 4 | 6;
};

/** A network on the uplink. `vlan`: its tag there; left out: flat. */
export type Provider = { readonly vlan?: number };

/** One receiver of broadcast. */
export type FloodTarget = { readonly guest: Guest } | { readonly host: string };

/** What became of a packet, in words, and the packet itself. */
export type Outcome = {
  /**
   * `vif NAME`, `vif NAME vlan TAG`, `peer NAME`, `overlay VNI REMOTE` (by the device), `uplink VNI REMOTE` (encapsulated), `service`, `flood N copies`, `wait` (a fragment for its first), `fragmenter` (to be cut), `drop REASON`,
   * `queue NAME in|out` (waits for the limit of what NAME receives or sends), `pass` (left to the host), `wire` or `wire vlan TAG` (out by the uplink of a provider network), `collector ID REMOTE` (a copy, with its outer headers), `mirrored anew ID REMOTE` (the same, which goes through cablem1 once more); a refusal: `vif NAME (REASON)`.
   */
  readonly verdict: string;
  /** `describe` of the packet as it left; empty when dropped or left to the host. */
  readonly packet: string;
  readonly data: Uint8Array;
  /** Of a packet that waits: by which it is known when it comes back. */
  readonly mark: number;
};

/** What a trace says, with its steps. */
export type Traced = Pick<Outcome, 'verdict' | 'data'> & Pick<RawTrace, 'steps' | 'began'>;

function sizesFor(flows: number): Readonly<Record<string, number>> {
  return { cb_flow_2: flows, cb_tuple_1: 2 * flows };
}

export const DEFAULT_FLAGS: number = CB_VIF_F_ANTISPOOF | CB_VIF_F_ADMIN_UP | CB_VIF_F_DHCP;
export const OPEN_FLAGS: number = CB_VIF_F_ADMIN_UP;
export const POD_FLAGS: number = DEFAULT_FLAGS | CB_VIF_F_PEER;

export function vifFlags(what: { portSecurity: boolean; adminUp: boolean; dhcp: boolean; pod: boolean }): number {
  return (
    (what.portSecurity ? CB_VIF_F_ANTISPOOF : 0) |
    (what.adminUp ? CB_VIF_F_ADMIN_UP : 0) |
    (what.dhcp ? CB_VIF_F_DHCP : 0) |
    (what.pod ? CB_VIF_F_PEER : 0)
  );
}

/** What may be used at once, and the time that one takes. */
export type Limit = { readonly costNs: number; readonly burst: number };

/** Left out: no limit, no mark. `waits`: what is over the limit of bytes waits. */
export type Meter = {
  readonly bytes?: Limit;
  readonly packets?: Limit;
  readonly dscp?: number;
  readonly waits?: boolean;
};

function meterOf(guest: Guest, direction: 'in' | 'out'): number {
  return guest.vif * 2 + (direction === 'in' ? CB_DIR_INGRESS : CB_DIR_EGRESS);
}

/** As the agent writes it. */
export function meterValue({ bytes, packets, dscp, waits }: Meter): Parameters<typeof MAPS.cb_meter_1.value.encode>[0] {
  return {
    byteCost: BigInt(bytes?.costNs ?? 0) << 20n,
    byteBurstNs: BigInt((bytes?.costNs ?? 0) * (bytes?.burst ?? 0)),
    packetCost: BigInt(packets?.costNs ?? 0) << 20n,
    packetBurstNs: BigInt((packets?.costNs ?? 0) * (packets?.burst ?? 0)),
    dscp: dscp ?? 0,
    flags: (dscp === undefined ? 0 : CB_METER_F_DSCP) | (waits === true ? CB_METER_F_SHAPE : 0),
  };
}

/** Rows of the agent: a row is never deleted, but zeroed. */
const ROW_MAPS: ReadonlySet<string> = new Set(
  [MAPS.cb_vif_2, MAPS.cb_net_1, MAPS.cb_tunnel_1, MAPS.cb_meter_1].map(({ name }) => name),
);
/** Maps of which every entry is the agent's. */
const AGENT_MAPS: ReadonlySet<string> = new Set([
  ...ROW_MAPS,
  ...[MAPS.cb_in_1, MAPS.cb_source_2, MAPS.cb_ep_2, MAPS.cb_mac_2, MAPS.cb_route_2].map(({ name }) => name),
  ...[MAPS.cb_svc_1, MAPS.cb_maglev_1, MAPS.cb_member_1].map(({ name }) => name),
  ...[MAPS.cb_service_1, MAPS.cb_backend_1].map(({ name }) => name),
  ...[MAPS.cb_pair_1, MAPS.cb_announce_1].map(({ name }) => name),
  ...[MAPS.cb_class_1, MAPS.cb_rule_1, MAPS.cb_flood_2, MAPS.cb_peer_2, MAPS.cb_hop_1].map(({ name }) => name),
  ...[MAPS.cb_lease_1, MAPS.cb_block_1, MAPS.cb_limit_1, MAPS.cb_steer_1, MAPS.cb_exit_1].map(({ name }) => name),
  ...[MAPS.cb_nat_1, MAPS.cb_snat_1, MAPS.cb_forward_1].map(({ name }) => name),
]);

/** What is in the agent's maps: by map and key, the value. */
type Written = Map<string, Map<ByteText, ByteText>>;

export class World {
  readonly #netns: TestNetns;
  readonly #inside: Netns;
  readonly #object: LoadedObject;
  readonly #flowCount: number;
  readonly #config: Readonly<Record<string, RodataValue>>;
  readonly #pinnedMaps: string | undefined;
  #traces: TracePrograms | undefined;
  readonly #overlay: number;
  readonly #service: number;
  readonly #uplink: number;
  readonly #queue: number;
  readonly #queueEnd: number;
  readonly #mirrors: number;
  readonly #mirrorsEnd: number;
  readonly #fragmenter: number;
  readonly #names = new Map<number, string>();
  readonly #spare: number[];
  /** Numbers by VNI, by host. */
  readonly #nets = new Map<number, number>();
  readonly #tunnels = new Map<string, number>();
  readonly #peers = new Map<string, number>();
  readonly #dhcpOff = new Set<number>();
  readonly #mtus = new Map<number, number>();
  readonly #projects = new Map<number, number>();
  readonly #flags = new Map<number, number>();
  readonly #providers = new Map<number, Provider & { readonly uplink: number }>();
  readonly #vifs = new Map<number, { guest: Guest; options: GuestOptions }>();
  readonly #floods = new Map<number, { list: number; chunks: number }>();
  #epoch = 2;
  #written: Written = new Map();
  /** While the state is rewritten: what it shall be. */
  #wanted: Written | undefined;

  /** `pinnedMaps`: a directory in which the maps are pinned. `underlay`: this host's address there; the vrouter then encapsulates itself. `queues`: packets that are over a limit may wait. `mirrors`: copies may be made, and sent from this underlay address. `flowTimeouts`: of the agent's option. */
  constructor(
    vifs = 8,
    flows = FLOWS,
    {
      pinnedMaps,
      underlay,
      queues,
      mirrors,
      flowTimeouts = {},
    }: {
      pinnedMaps?: string;
      underlay?: string;
      queues?: boolean;
      mirrors?: string;
      flowTimeouts?: FlowTimeouts;
    } = {},
  ) {
    this.#netns = createNetns();
    try {
      this.#netns.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
      this.#spare = Array.from({ length: vifs }, (_, i) => this.#addDevice(`vif${i}`));
      this.#overlay = this.#addDevice('cablevx');
      this.#service = this.#addDevice('cables1');
      this.#uplink = this.#addDevice('up0');
      this.#queue = this.#addDevice('cableq0');
      this.#queueEnd = this.#addDevice('cableq1');
      this.#fragmenter = this.#addDevice('cablef1');
      this.#mirrors = mirrors === undefined ? 0 : this.#addDevice('cablem0');
      this.#mirrorsEnd = mirrors === undefined ? 0 : this.#addDevice('cablem1');
      if (mirrors !== undefined) {
        this.#netns.ip('address', 'add', `${mirrors}/24`, 'dev', 'up0');
        for (const end of ['cablem0', 'cablem0p']) this.#netns.ip('link', 'set', end, 'mtu', '65535');
        this.#netns.run('sysctl', '-qw', 'net.ipv4.conf.cablem1.forwarding=1');
      }
      this.#netns.ip('link', 'set', 'up0', 'address', UPLINK_MAC);
      this.#inside = openNetns(this.#netns.path);
      this.#flowCount = flows;
      this.#pinnedMaps = pinnedMaps;
      this.#config = {
        cfg_flows: flows,
        cfg_timeout: timeoutBytes(flowTimeouts),
        cfg_overlay_ifindex: this.#overlay,
        cfg_service_ifindex: this.#service,
        cfg_service_mac: macBytes(AGENT_MAC),
        cfg_frag_ifindex: this.#fragmenter,
        ...(queues === true ? { cfg_queue_ifindex: this.#queue, cfg_queue_end_ifindex: this.#queueEnd } : {}),
        cfg_mirror_ifindex: this.#mirrors,
        cfg_mirror_end_ifindex: this.#mirrorsEnd,
        ...(mirrors === undefined ? {} : { cfg_underlay: ipBytes(mirrors).readUInt32BE() }),
        ...(underlay === undefined ? {} : { cfg_own_encapsulation: 1, ...underlayConfig(underlay) }),
      };
      this.#object = loadObject({
        path: TEST_OBJECT,
        ...(pinnedMaps === undefined ? {} : { pinnedMaps, unpinned: [...OWN_MAPS] }),
        maxEntries: sizesFor(flows),
        rodata: this.#config,
      });
    } catch (err) {
      this.#netns.remove();
      throw err;
    }
    fillBank(this.slots, 0, this.#object.programs);
  }

  /** Moves the other end of a device into a namespace: what is sent there comes in here. Returns its name. */
  givePeer(of: Guest | 'uplink', netns: TestNetns): string {
    const ifindex = of === 'uplink' ? this.#uplink : of.ifindex;
    const name = this.#netns.ip('-o', 'link', 'show').match(new RegExp(`^${ifindex}: ([^@]+)@`, 'm'))?.[1];
    assert.ok(name !== undefined);
    this.#netns.ip('link', 'set', `${name}p`, 'netns', netns.name);
    return `${name}p`;
  }

  /** Frames that programs give to a device's own reception, and those that come by its other end, are received: by the dispatchers, as in production. */
  receiveAnew(): void {
    enterBank(this.slots, 0);
    inNetns(this.#netns.path, () => {
      const socket = new NetlinkSocket();
      try {
        ensureIngressFilter(socket, this.#uplink, this.program('enter_uplink'));
        for (const { guest } of this.#vifs.values())
          ensureIngressFilter(socket, guest.ifindex, this.program('enter_vif'));
      } finally {
        socket.close();
      }
    });
  }

  close(): void {
    this.#traces?.close();
    this.#object.close();
    this.#inside.close();
    this.#netns.remove();
  }

  /** As new: no guest, no state, no flow. */
  reset(): void {
    this.forgetFlows();
    for (const vif of [0, ...this.#vifs.keys()]) this.#forgetCounters(vif);
    this.rewrite(() => {});
    for (const ifindex of new Set([...this.#vifs.values()].map(({ guest }) => guest.ifindex)))
      this.#spare.push(ifindex);
    for (const numbers of [this.#vifs, this.#nets, this.#tunnels]) numbers.clear();
  }

  /**
   * Makes the agent's state what `write` puts, and nothing else. Guests keep their devices and numbers, networks and hosts their numbers; flows, fragments, counters and
   * buckets stay. Every row has another epoch; what else is there already is not written again.
   */
  rewrite(write: () => void): void {
    this.#epoch += 2;
    this.#peers.clear();
    this.#dhcpOff.clear();
    this.#mtus.clear();
    this.#flags.clear();
    this.#providers.clear();
    this.#floods.clear();
    this.#wanted = new Map();
    write();
    const wanted = this.#wanted;
    this.#wanted = undefined;
    for (const name of AGENT_MAPS) this.#become(name, wanted.get(name) ?? new Map());
  }

  /** Makes a map what it shall be. */
  #become(name: string, wanted: Map<ByteText, ByteText>): void {
    const map = this.map({ name });
    const had = this.#written.get(name) ?? new Map<ByteText, ByteText>();
    for (const [key, value] of had) {
      if (wanted.has(key)) continue;
      if (ROW_MAPS.has(name)) map.update(key, '\0'.repeat(value.length));
      else map.delete(key);
    }
    for (const [key, value] of wanted) if (had.get(key) !== value) map.update(key, value);
    this.#written.set(name, wanted);
  }

  #addDevice(name: string): number {
    this.#netns.ip('link', 'add', name, 'up', 'type', 'veth', 'peer', 'name', `${name}p`);
    this.#netns.ip('link', 'set', `${name}p`, 'up');
    const ifindex = Number(/^(\d+):/.exec(this.#netns.ip('-o', 'link', 'show', name))?.[1]);
    this.#names.set(ifindex, name);
    return ifindex;
  }

  get slots(): BpfMap {
    return this.map({ name: 'cb_enter_1' });
  }

  /** A digest of each map's entries, by name; without those that a load has for itself. */
  maps(): ReadonlyMap<string, string> {
    const shared = [...this.#object.maps].filter(([name]) => !OWN_MAPS.has(name));
    return new Map(
      shared.map(([name, map]) => {
        const hash = createHash('sha256');
        const perCpu = map.info.type === MAP_TYPE.perCpuArray;
        if (perCpu)
          for (const vif of [0, ...this.#vifs.keys()])
            for (const one of map.lookupPerCpu(arrayIndex.encode(vif)) ?? []) hash.update(one);
        else for (const batch of map.batches()) for (const { key, value } of batch) hash.update(key).update(value);
        return [name, hash.digest('hex')];
      }),
    );
  }

  map(spec: { readonly name: string }): BpfMap {
    const map = this.#object.maps.get(spec.name);
    assert.ok(map !== undefined, `no map ${spec.name}`);
    return map;
  }

  #put<K, V>(spec: MapSpec<K, V>, key: K, value: V): void {
    const [keyText, valueText] = [spec.key.text(key), spec.value.text(value)];
    if (AGENT_MAPS.has(spec.name)) this.#entries(spec.name).set(keyText, valueText);
    if (this.#wanted === undefined || !AGENT_MAPS.has(spec.name)) this.map(spec).update(keyText, valueText);
  }

  /** Writes an entry as the agent would. */
  write<K, V>(spec: MapSpec<K, V>, key: K, value: V): void {
    this.#put(spec, key, value);
  }

  /** Removes an entry of the agent's. */
  erase<K, V>(spec: MapSpec<K, V>, key: K): void {
    this.#drop(spec, key);
  }

  #drop<K, V>(spec: MapSpec<K, V>, key: K): void {
    const keyText = spec.key.text(key);
    assert.ok(this.#entries(spec.name).delete(keyText), `${spec.name} had no such entry`);
    if (this.#wanted === undefined) this.map(spec).delete(keyText);
  }

  /** Of an agent's map, as it is or shall be. */
  #entries(name: string): Map<ByteText, ByteText> {
    const written = this.#wanted ?? this.#written;
    const entries = written.get(name) ?? new Map<ByteText, ByteText>();
    written.set(name, entries);
    return entries;
  }

  /** Empties the flow and fragment tables, and what was counted of them. */
  forgetFlows(): void {
    const flows = this.#flows();
    this.map(MAPS.cb_tuple_1).clear();
    for (const { flow } of flows) this.map(MAPS.cb_flow_2).update(arrayIndex.encode(flow), ZERO_FLOW);
    this.#put(MAPS.cb_gauge_1, 0, { flows: 0n, toldLost: 0n, toldHeld: 0n });
    this.map(MAPS.cb_orphan_1).clear();
    this.map(MAPS.cb_near_1).clear();
    for (const vif of [0, ...this.#vifs.keys()]) {
      for (let n = 0; n < CB_VIF_FRAGMENTS; n++) {
        this.map(MAPS.cb_frag_2).update(arrayIndex.encode(vif * CB_VIF_FRAGMENTS + n), ZERO_FRAGMENT);
      }
    }
    this.fillBuckets();
  }

  /** Every guest may send to the agent again as after a pause, and holds no flows. */
  fillBuckets(): void {
    for (const [vif, { options }] of this.#vifs) {
      for (const row of [vif, CB_USE_PROJECT + (options.project ?? 1)]) this.#put(MAPS.cb_use_1, row, NOTHING_USED);
    }
    for (const row of [CB_USE_PASSING, ...[1, ...this.#projects.values()].map((project) => CB_USE_PROJECT + project)])
      this.#put(MAPS.cb_use_1, row, NOTHING_USED);
  }

  /** CLOCK_MONOTONIC at which the guest's bucket for copies of floods is full again; 0: it is. */
  setFloodBucket(guest: Guest, floodNs: bigint): void {
    this.#put(MAPS.cb_use_1, guest.vif, { ...NOTHING_USED, floodNs });
  }

  /** What a VIF, a project or all that only passes uses. */
  use(row: number): ReturnType<typeof MAPS.cb_use_1.value.decode> {
    const value = this.map(MAPS.cb_use_1).lookup(arrayIndex.encode(row));
    assert.ok(value !== undefined);
    return MAPS.cb_use_1.value.decode(value);
  }

  setUse(row: number, use: Partial<CbUse>): void {
    this.#put(MAPS.cb_use_1, row, { ...NOTHING_USED, ...use });
  }

  floodBucket(guest: Guest): bigint {
    const row = this.map(MAPS.cb_use_1).lookup(arrayIndex.encode(guest.vif));
    return row === undefined ? 0n : MAPS.cb_use_1.value.decode(row).floodNs;
  }

  #forgetCounters(vif: number): void {
    const cpus = (this.map(MAPS.cb_count_1).lookupPerCpu(arrayIndex.encode(vif)) ?? []).length;
    this.map(MAPS.cb_count_1).update(arrayIndex.encode(vif), new Uint8Array(cpus * MAPS.cb_count_1.value.size));
    for (let reason = 0; reason < CB_REASON_MAX; reason++)
      this.#put(MAPS.cb_drop_1, vif * CB_REASON_MAX + reason, { packets: 0n, lastNs: 0n });
  }

  /** The network of a VNI; a new one is known to the host from now on, with all peers in it. */
  net(vni: number): number {
    const known = this.#nets.get(vni);
    if (known !== undefined) {
      if (!this.#entries(MAPS.cb_net_1.name).has(arrayIndex.text(known))) this.#putNet(vni, known);
      return known;
    }
    const net = this.#nets.size + 1;
    this.#nets.set(vni, net);
    this.#putNet(vni, net);
    for (const host of this.#peers.keys()) this.addPeer(host, [vni]);
    return net;
  }

  #putNet(vni: number, net = this.net(vni)): void {
    const { list, chunks } = this.#floods.get(vni) ?? { list: 0, chunks: 0 };
    const provider = this.#providers.get(vni);
    this.#put(MAPS.cb_net_1, net, {
      networkId: Buffer.alloc(16, 1),
      epoch: this.#epoch,
      flags: CB_NET_F_UP | (this.#dhcpOff.has(vni) ? 0 : CB_NET_F_DHCP) | (this.#flags.get(vni) ?? 0),
      wireId: provider === undefined ? vni : (provider.vlan ?? 0),
      project: this.#projects.get(vni) ?? 1,
      mtuBytes: this.#mtus.get(vni) ?? 1450,
      wire: provider === undefined ? CB_WIRE_VXLAN : provider.vlan === undefined ? CB_WIRE_FLAT : CB_WIRE_VLAN,
      floodList: list,
      floodChunks: chunks,
      uplink: provider?.uplink ?? 0,
    });
  }

  /** Makes the network one on the uplink, whose frames come in there. The number is the test's, as a VNI is of others. `uplink`: 0 is missing. */
  addProvider(vni: number, provider: Provider, { uplink }: { uplink?: number } = {}): void {
    this.#providers.set(vni, { ...provider, uplink: uplink ?? this.#uplink });
    this.#putNet(vni);
    const key = { ifindex: this.#uplink, vlan: provider.vlan ?? 0 };
    this.#put(MAPS.cb_in_1, key, { kind: CB_IN_NET, vif: 0, net: this.net(vni) });
  }

  /** CB_NET_F_* besides those of every network. */
  setFlags(vni: number, flags: number): void {
    this.#flags.set(vni, flags);
    this.#putNet(vni);
  }

  /** Default 1. */
  setProject(vni: number, project: number): void {
    this.#projects.set(vni, project);
    this.#putNet(vni);
  }

  /** Default 1450. */
  setMtu(vni: number, mtuBytes: number): void {
    this.#mtus.set(vni, mtuBytes);
    this.#putNet(vni);
  }

  /** No subnet of the network has DHCP on. */
  turnDhcpOff(vni: number): void {
    this.#dhcpOff.add(vni);
    this.#putNet(vni);
  }

  /** The tunnel to a host. */
  tunnel(host: string): number {
    const known = this.#tunnels.get(host);
    if (known !== undefined && this.#entries(MAPS.cb_tunnel_1.name).has(arrayIndex.text(known))) return known;
    const tunnel = known ?? this.#tunnels.size + 1;
    this.#tunnels.set(host, tunnel);
    this.#put(MAPS.cb_tunnel_1, tunnel, { remote: addr(host) });
    return tunnel;
  }

  /** A guest on this host, known to its network. `device`: of this guest; else it has its own. */
  addGuest(name: string, options: GuestOptions, device?: Guest): Guest {
    const ifindex = device?.ifindex ?? this.#spare.shift();
    assert.ok(ifindex !== undefined, 'no device left for another guest');
    if (device === undefined) this.#names.set(ifindex, name);
    const vif = this.#vifs.size + 1;
    const service = `198.18.${(vif * CB_VIF_SERVICE_ADDRESSES) >> 8}.${(vif * CB_VIF_SERVICE_ADDRESSES) & 0xff}`;
    const guest: Guest = { name, ifindex, vif, service, mac: options.mac, ip: options.ip, vni: options.vni };
    this.setGuest(guest, options);
    return guest;
  }

  /** All that there is of a guest alone; its device and number stay. */
  setGuest(guest: Guest, options: GuestOptions): void {
    this.setVif(guest, options);
    this.#put(
      MAPS.cb_in_1,
      { ifindex: guest.ifindex, vlan: options.vlan ?? 0 },
      { kind: CB_IN_VIF, vif: guest.vif, net: 0 },
    );
    const ips = [options.ip, ...(options.moreIps ?? [])];
    for (const ip of ips) this.allowSource(guest, options.mac, ip);
    const ips6 = options.ip6 === undefined ? [] : [options.ip6, linkLocal(options.mac)];
    for (const ip of ips6) this.allowSource(guest, options.mac, ip, 128);
    this.setEndpoint(options.vni, [...ips, ...ips6], options.mac, { kind: CB_ENDPOINT_VIF, guest });
  }

  /** (Re)writes the guest's row in cb_vif_2. */
  setVif(guest: Guest, options: GuestOptions): void {
    this.#vifs.set(guest.vif, { guest, options });
    this.#put(MAPS.cb_vif_2, guest.vif, {
      portId: Buffer.alloc(16, guest.vif),
      epoch: this.#epoch,
      flags: (options.flags ?? DEFAULT_FLAGS) | (options.isFollowed ? CB_VIF_F_FOLLOWED : 0),
      ifindex: guest.ifindex,
      policy: options.policy ?? CB_POLICY_NONE,
      networkPolicies: options.networkPolicies ?? 0,
      net: this.net(options.vni),
      vlan: options.vlan ?? 0,
      project: options.project ?? 1,
      tells: options.tells ?? 0,
      mtuBytes: options.mtu ?? 1450,
      mac: macBytes(options.mac),
      addr: addr(options.ip),
      addr6: options.ip6 === undefined ? NO_ADDRESS : addr(options.ip6),
      router6: options.router6 === undefined ? NO_ADDRESS : addr(options.router6),
      dhcpServer: options.dhcpServer === undefined ? NO_ADDRESS : addr(options.dhcpServer),
    });
  }

  /** Limits of what the guest sends or receives; its row must have CB_VIF_F_METER. Nothing is used of them. */
  setMeter(guest: Guest, direction: 'in' | 'out', meter: Meter): void {
    this.changeMeter(guest, direction, meter);
    this.#put(MAPS.cb_bucket_2, meterOf(guest, direction), { byteNs: 0n, byteCost: 0n, packetNs: 0n, packetCost: 0n });
  }

  /** The same; what was used is used. */
  changeMeter(guest: Guest, direction: 'in' | 'out', meter: Meter): void {
    this.#put(MAPS.cb_meter_1, meterOf(guest, direction), meterValue(meter));
  }

  unplug(guest: Guest): void {
    this.#drop(MAPS.cb_in_1, { ifindex: guest.ifindex, vlan: 0 });
    this.#entries(MAPS.cb_vif_2.name).set(arrayIndex.text(guest.vif), ZERO_VIF);
    if (this.#wanted === undefined) this.map(MAPS.cb_vif_2).update(arrayIndex.text(guest.vif), ZERO_VIF);
  }

  /** `length`: of the prefix. */
  allowSource(guest: Guest, mac: string, ip: string, length = 32): void {
    const key = { prefixlen: 64 + bitsOf(ip, length), vif: guest.vif, mac: macBytes(mac), addr: addr(ip) };
    this.#put(MAPS.cb_source_2, key, { flags: 0 });
  }

  /** An allowed address pair that is one address, of a guest or of a port of another host. */
  addPair(vni: number, ip: string, mac: string, who: { readonly guest: Guest } | { readonly host: string }): void {
    if ('guest' in who) {
      const key = { prefixlen: 64 + 128, vif: who.guest.vif, mac: macBytes(mac), addr: addr(ip) };
      this.#put(MAPS.cb_source_2, key, { flags: CB_SOURCE_F_PAIR });
      return;
    }
    const key = { net: this.net(vni), tunnel: this.tunnel(who.host), mac: macBytes(mac), addr: addr(ip) };
    this.#put(MAPS.cb_pair_1, key, { flags: 0 });
  }

  removePair(vni: number, ip: string, mac: string, who: { readonly guest: Guest } | { readonly host: string }): void {
    if ('guest' in who)
      this.#drop(MAPS.cb_source_2, { prefixlen: 64 + 128, vif: who.guest.vif, mac: macBytes(mac), addr: addr(ip) });
    else
      this.#drop(MAPS.cb_pair_1, {
        net: this.net(vni),
        tunnel: this.tunnel(who.host),
        mac: macBytes(mac),
        addr: addr(ip),
      });
  }

  /** An address that ports may share. `only`: of the only one that may have it. */
  setShared(vni: number, ip: string, only?: { readonly guest: Guest; readonly mac: string }): void {
    const value = {
      ...{ kind: CB_ENDPOINT_SHARED, flags: 0, tunnel: 0, vrf: 0, vif: only?.guest.vif ?? 0 },
      mac: only === undefined ? new Uint8Array(6) : macBytes(only.mac),
    };
    this.#put(MAPS.cb_ep_2, { net: this.net(vni), addr: addr(ip) }, value);
  }

  /** Hosts that only route into the network and must hear of it. */
  setAnnounce(vni: number, hosts: readonly string[]): void {
    const tunnel = Array.from({ length: CB_FLOOD_TARGETS }, (_, i) => this.tunnelOf(hosts[i]));
    this.#put(MAPS.cb_announce_1, { net: this.net(vni), chunk: 0 }, { count: hosts.length, tunnel });
  }

  tunnelOf(host: string | undefined): number {
    return host === undefined ? 0 : this.tunnel(host);
  }

  /** Who was heard of last, by address: MAC, and guest or host. */
  heard(): Readonly<Record<string, string>> {
    const rows = this.map(MAPS.cb_learn_1)
      .entries()
      .map(({ key, value }) => {
        const { vif, tunnel, mac } = MAPS.cb_learn_1.value.decode(value);
        const host = [...this.#tunnels].find(([, number]) => number === tunnel)?.[0];
        const at = this.#vifs.get(vif)?.guest.name ?? host ?? 'nobody';
        const words = Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
        const { addr: bytes } = MAPS.cb_learn_1.key.decode(key);
        return [
          ipText(bytes.subarray(0, 12).every((b, i) => b === (i < 10 ? 0 : 255)) ? bytes.subarray(12) : bytes),
          `${words} at ${at}`,
        ];
      });
    return Object.fromEntries(rows);
  }

  /** It is being asked who has the address: it was just now, or long ago. */
  setSought(vni: number, ip: string, isNow: boolean): void {
    const soughtNs = isNow ? process.hrtime.bigint() + 1_000_000_000_000n : 1n;
    const value = { learnedNs: 0n, soughtNs, vif: 0, tunnel: 0, mac: new Uint8Array(6) };
    this.#put(MAPS.cb_learn_1, { net: this.net(vni), addr: addr(ip) }, value);
  }

  forgetHeard(): void {
    this.map(MAPS.cb_learn_1).clear();
  }

  setEndpoint(
    vni: number,
    ips: readonly string[],
    mac: string,
    where: { kind: number; guest?: Guest; vrf?: number; remote?: string; flags?: number },
  ): void {
    const value = {
      kind: where.kind,
      flags: where.flags ?? 0,
      vif: where.guest?.vif ?? 0,
      tunnel: where.remote === undefined ? 0 : this.tunnel(where.remote),
      vrf: where.vrf ?? 0,
      mac: macBytes(mac),
    };
    const net = this.net(vni);
    for (const ip of ips) this.#put(MAPS.cb_ep_2, { net, addr: addr(ip) }, value);
    this.#put(MAPS.cb_mac_2, { net, mac: macBytes(mac) }, value);
  }

  removeEndpoint(vni: number, ip: string, mac: string): void {
    this.#drop(MAPS.cb_ep_2, { net: this.net(vni), addr: addr(ip) });
    this.#drop(MAPS.cb_mac_2, { net: this.net(vni), mac: macBytes(mac) });
  }

  addRemote(vni: number, ip: string, mac: string, host: string): void {
    this.setEndpoint(vni, [ip], mac, { kind: CB_ENDPOINT_REMOTE, remote: host });
  }

  /** A subnet's router interface, with its route. */
  addRouterInterface(vrf: number, leg: { vni: number; cidr: string; ip: string; mac: string; mtu?: number }): void {
    this.setEndpoint(leg.vni, [leg.ip], leg.mac, { kind: CB_ENDPOINT_GATEWAY, vrf });
    this.addRoute(vrf, leg.cidr, leg);
  }

  addRoute(vrf: number, cidr: string, to: { vni: number; mac: string; mtu?: number; nexthop?: string }): void {
    const [base = '', length = '32'] = cidr.split('/');
    this.#put(
      MAPS.cb_route_2,
      { prefixlen: 32 + bitsOf(base, Number(length)), vrf, addr: addr(base) },
      {
        kind: to.nexthop === undefined ? CB_ROUTE_CONNECTED : CB_ROUTE_NEXTHOP,
        flags: 0,
        net: this.net(to.vni),
        mtuBytes: to.mtu ?? 1450,
        mac: macBytes(to.mac),
        nexthop: to.nexthop === undefined ? NO_ADDRESS : addr(to.nexthop),
        own: NO_ADDRESS,
        outside: 0,
      },
    );
  }

  /** One side of a peering: what of the other router's networks this one reaches, and what of its own may go there. */
  addPeering(
    vrf: number,
    peering: number,
    own: readonly { vni: number; cidr: string }[],
    peers: readonly { vni: number; cidr: string; mac: string; mtu?: number }[],
  ): void {
    const nexthop = new Uint8Array(16);
    new DataView(nexthop.buffer).setUint32(0, peering, true);
    for (const { vni, cidr, mac, mtu } of peers) this.#putPeer(vrf, cidr, { vni, mac, nexthop, mtu: mtu ?? 1450 });
    const none = { mac: '00:00:00:00:00:00', nexthop: NO_ADDRESS, mtu: 0 };
    for (const { vni, cidr } of own) this.#putPeer(peering, cidr, { vni, ...none });
  }

  removeRoute(vrf: number, cidr: string): void {
    const [base = '', length = '32'] = cidr.split('/');
    this.#drop(MAPS.cb_route_2, { prefixlen: 32 + bitsOf(base, Number(length)), vrf, addr: addr(base) });
  }

  #putPeer(vrf: number, cidr: string, to: { vni: number; mac: string; nexthop: Uint8Array; mtu: number }): void {
    const [base = '', length = '32'] = cidr.split('/');
    this.#put(
      MAPS.cb_route_2,
      { prefixlen: 32 + bitsOf(base, Number(length)), vrf, addr: addr(base) },
      {
        ...{ kind: CB_ROUTE_CONNECTED, flags: CB_ROUTE_F_PEER, net: this.net(to.vni), mtuBytes: to.mtu },
        ...{ mac: macBytes(to.mac), nexthop: to.nexthop, own: NO_ADDRESS, outside: 0 },
      },
    );
  }

  /** The service MAC and addresses that it answers for. */
  addServices(vni: number, ips: readonly string[], vrf = 0): void {
    this.setEndpoint(vni, ips, SERVICE_MAC, { kind: CB_ENDPOINT_SERVICE, vrf });
  }

  /** A host that may send into these networks; default: all that there are and will be. `flags`: CB_PEER_F_*. */
  addPeer(host: string, vnis?: readonly number[], flags = this.#peers.get(host) ?? 0): void {
    if (vnis === undefined) this.#peers.set(host, flags);
    for (const vni of vnis ?? this.#nets.keys()) {
      const value = { net: this.net(vni), tunnel: this.tunnel(host), flags, vif: 0 };
      this.#put(MAPS.cb_peer_2, { wireId: vni, remote: addr(host) }, value);
    }
  }

  /** A host whose probes are answered. */
  addProber(host: string): void {
    const value = { net: 0, tunnel: this.tunnel(host), flags: CB_PEER_F_PROBE, vif: 0 };
    this.#put(MAPS.cb_peer_2, { wireId: 0, remote: addr(host) }, value);
  }

  /** How the kernel's routes lead to a host; by the uplink. */
  addHop(host: string, hop: { readonly nexthop: string; readonly mtu?: number }): void {
    const value = { ifindex: this.#uplink, mtuBytes: hop.mtu ?? 1500, nexthop: addr(hop.nexthop) };
    this.#put(MAPS.cb_hop_1, { addr: addr(host) }, value);
  }

  removeHop(host: string): void {
    this.#drop(MAPS.cb_hop_1, { addr: addr(host) });
  }

  addRule(rule: Rule): void {
    this.#put(MAPS.cb_rule_1, ruleKey(rule), { rule: 1 });
  }

  removeRule(rule: Rule): void {
    this.#drop(MAPS.cb_rule_1, ruleKey(rule));
  }

  addClass(policy: number, cidr: string, classId: number): void {
    this.#put(MAPS.cb_class_1, classKey(policy, cidr), { classId });
  }

  removeClass(policy: number, cidr: string): void {
    this.#drop(MAPS.cb_class_1, classKey(policy, cidr));
  }

  /** A network's flood list, in chunks of `perChunk`. */
  setFlood(vni: number, targets: readonly FloodTarget[], perChunk = CB_FLOOD_TARGETS): void {
    const list = 1 - (this.#floods.get(vni)?.list ?? 1);
    const net = this.net(vni);
    let chunk = 0;
    for (; chunk * perChunk < targets.length; chunk++) {
      const target = targets.slice(chunk * perChunk, (chunk + 1) * perChunk).map((one) => this.#floodTarget(one));
      this.#put(MAPS.cb_flood_2, { net, list, purpose: 0, chunk }, { count: target.length, target });
    }
    this.#floods.set(vni, { list, chunks: chunk });
    this.#putNet(vni);
  }

  #floodTarget(target: FloodTarget): CbFloodTarget {
    if ('host' in target) return { kind: CB_FLOOD_TUNNEL, flags: 0, id: this.tunnel(target.host) };
    return { kind: CB_FLOOD_VIF, flags: 0, id: target.guest.vif };
  }

  /** Every row has another epoch: all is decided again. */
  raiseEpochs(): void {
    this.#setEpochs(this.#epoch + 2);
  }

  /** The row of one guest, or of the network of a VNI, has another epoch. */
  raiseEpoch(of: Guest | number): void {
    this.#epoch += 2;
    if (typeof of === 'number') this.#putNet(of);
    else this.setVif(of, (this.#vifs.get(of.vif) as { options: GuestOptions }).options);
  }

  /** As while rows are being written: what is decided meanwhile is not remembered. */
  unsettled(run: () => void): void {
    this.#setEpochs(this.#epoch + 1);
    try {
      run();
    } finally {
      this.#setEpochs(this.#epoch + 1);
    }
  }

  #setEpochs(epoch: number): void {
    this.#epoch = epoch;
    for (const { guest, options } of this.#vifs.values()) this.setVif(guest, options);
    for (const vni of this.#nets.keys()) this.#putNet(vni);
  }

  /** Both directions of every flow, by flow. */
  ways(): Direction[] {
    const vnis = new Map([...this.#nets].map(([vni, net]) => [net, vni]));
    return this.#flows().flatMap(({ flow, value }) =>
      [0, 1].map((direction) => {
        const tuple = value.tuple[direction] as CbTupleKey;
        const [way, tally] = [value.way[direction] as CbWay, value.tally[direction] as CbTally];
        return { flow, direction, vni: vnis.get(tuple.net) ?? 0, tuple, way, tally };
      }),
    );
  }

  #flows(): { readonly flow: number; readonly value: CbFlow }[] {
    const found = [];
    const numbers = new Set(
      this.map(MAPS.cb_tuple_1)
        .entries()
        .map(({ value }) => MAPS.cb_tuple_1.value.decode(value).flow),
    );
    for (const flow of [...numbers].sort((x, y) => x - y)) {
      const bytes = this.map(MAPS.cb_flow_2).lookup(arrayIndex.encode(flow));
      assert.ok(bytes !== undefined);
      found.push({ flow, value: MAPS.cb_flow_2.value.decode(bytes) });
    }
    return found;
  }

  /** Rewrites every flow. */
  changeWays(change: (way: CbWay) => CbWay): void {
    for (const { flow, value } of this.#flows())
      this.#put(MAPS.cb_flow_2, flow, { ...value, way: value.way.map(change) });
  }

  /** All flows were last seen this long ago, s (before the start of the machine, if need be: differences wrap). */
  age(seconds: number): void {
    const earlier = (ns: bigint): bigint => BigInt.asUintN(64, ns - BigInt(seconds) * 1_000_000_000n);
    this.changeWays((way) => ({ ...way, expiresNs: earlier(way.expiresNs), refreshNs: earlier(way.refreshNs) }));
  }

  /** Tuples, records in use as counted, and live records: of a sound table two, one and one for each flow. */
  audit(): { tuples: number; counted: number; live: number; owned: number } {
    let [live, owned] = [0, 0];
    for (const { value } of this.map(MAPS.cb_flow_2).entries()) {
      const record = MAPS.cb_flow_2.value.decode(value);
      if (Number(record.life & 3n) === CB_LIFE_LIVE) live += 1;
    }
    for (const vif of this.#vifs.keys()) {
      const use = this.map(MAPS.cb_use_1).lookup(arrayIndex.encode(vif));
      assert.ok(use !== undefined);
      owned += MAPS.cb_use_1.value.decode(use).flows.reduce((sum, n) => sum + n, 0);
    }
    const gauge = this.map(MAPS.cb_gauge_1).lookup(arrayIndex.encode(0));
    assert.ok(gauge !== undefined);
    const counted = Number(MAPS.cb_gauge_1.value.decode(gauge).flows);
    return { tuples: this.map(MAPS.cb_tuple_1).entries().length, counted, live, owned };
  }

  /** Counters of a guest, or of what belongs to none. */
  stat(guest?: Guest): Counters {
    const vif = guest?.vif ?? 0;
    const values = (this.map(MAPS.cb_count_1).lookupPerCpu(arrayIndex.encode(vif)) ?? []).map((bytes) =>
      MAPS.cb_count_1.value.decode(bytes),
    );
    const drops = Array.from({ length: CB_REASON_MAX }, (_, reason) => {
      const row = this.map(MAPS.cb_drop_1).lookup(arrayIndex.encode(vif * CB_REASON_MAX + reason));
      return row === undefined ? 0n : MAPS.cb_drop_1.value.decode(row).packets;
    });
    return { ...values.reduce(addCount, ZERO_COUNT), drops };
  }

  /** The same in words, of drops those that there were. */
  countersOf(guest?: Guest): {
    rxPackets: number;
    rxBytes: number;
    txPackets: number;
    txBytes: number;
    drops: Map<string, number>;
  } {
    const { rxPackets, rxBytes, txPackets, txBytes, drops } = this.stat(guest);
    const reasons = DROP_REASONS.flatMap(({ code, name }): [string, number][] =>
      (drops[code] ?? 0n) === 0n ? [] : [[name, Number(drops[code])]],
    );
    return {
      ...{ rxPackets: Number(rxPackets), rxBytes: Number(rxBytes) },
      ...{ txPackets: Number(txPackets), txBytes: Number(txBytes), drops: new Map(reasons) },
    };
  }

  /** Packets that programs have cloned to a device. */
  sentTo(guest: Guest | 'overlay' | 'uplink' | 'mirrors'): number {
    const own = { overlay: this.#overlay, uplink: this.#uplink, mirrors: this.#mirrors };
    const ifindex = typeof guest === 'string' ? own[guest] : guest.ifindex;
    const links: readonly { ifindex: number; stats64: { tx: { packets: number } } }[] = JSON.parse(
      this.#netns.ip('-s', '-j', 'link', 'show'),
    );
    return links.find((link) => link.ifindex === ifindex)?.stats64.tx.packets ?? 0;
  }

  /** A guest sends a frame. */
  send(guest: Guest, frame: Uint8Array, gsoSize = 0): Outcome {
    return this.#run('from_vif', frame, { ifindex: guest.ifindex, gsoSize });
  }

  /** What a trace says becomes of a frame that a guest sends, or that arrives through a tunnel or by the uplink of a provider network (`outside`). The maps must be pinned, in a directory `maps`. */
  trace(
    from: Guest | { vni: number; from: string } | { outside: number },
    frame: Uint8Array,
    flags = 0,
    flows: readonly CbTraceFlow[] = [],
  ): Traced {
    const {
      steps,
      began,
      frame: data,
      ...raw
    } = this.#traced().run({
      from:
        'vif' in from
          ? { vif: from.vif }
          : 'outside' in from
            ? { net: this.net(from.outside) }
            : { wireId: from.vni, tunnel: this.#tunnels.get(from.from) ?? 0 },
      flags,
      flows,
      frame,
    });
    const isSent = raw.deliver !== 0 && raw.deliver !== CB_DELIVER_FLOOD;
    const words = [raw.ifindex, raw.deliver, raw.wire, raw.remote, raw.reason];
    return { verdict: this.#verdict(isSent ? TC_ACT_REDIRECT : TC_ACT_SHOT, words), data, steps, began };
  }

  #traced(): TracePrograms {
    assert.ok(this.#pinnedMaps !== undefined, 'only maps that are pinned can be traced over');
    this.#traces ??= loadTracePrograms({
      object: OBJECT,
      pinDir: dirname(this.#pinnedMaps),
      config: this.#config,
      maxEntries: sizesFor(this.#flowCount),
    });
    return this.#traces;
  }

  /** The device by which `arrive` has frames come in. */
  get uplink(): number {
    return this.#uplink;
  }

  /** A frame arrives on the underlay; for this host if its destination is UPLINK_MAC. */
  arrive(frame: Uint8Array, gsoSize = 0): Outcome {
    return this.#run('from_uplink', frame, { ifindex: this.#uplink, gsoSize });
  }

  /** A frame comes back from the queues, with this mark. */
  comeBack(frame: Uint8Array, mark: number): Outcome {
    return this.#run('from_vif', frame, { ifindex: this.#queueEnd, mark });
  }

  /** A copy for a mirror comes out of cablem1, with this mark. */
  comeOut(frame: Uint8Array, mark: number, gsoSize = 0): Outcome {
    return this.#run('from_vif', frame, { ifindex: this.#mirrorsEnd, mark, gsoSize });
  }

  /** The network namespace in which the devices are. */
  ip(...args: readonly string[]): string {
    return this.#netns.ip(...args);
  }

  /** The same with a VLAN tag. */
  arriveTagged(vlan: number, frame: Uint8Array): Outcome {
    return this.#run('from_uplink_tagged', frame, { ifindex: this.#uplink, cb: [vlan] });
  }

  /** The same of a guest. */
  sendTagged(guest: Guest, vlan: number, frame: Uint8Array): Outcome {
    return this.#run('from_tagged', frame, { ifindex: guest.ifindex, cb: [vlan] });
  }

  /** The same, from the dispatcher on. */
  enterUplink(frame: Uint8Array): Outcome {
    return this.#run('enter_uplink', frame, { ifindex: this.#uplink });
  }

  /** A guest sends a frame, from the dispatcher on. */
  enter(guest: Guest, frame: Uint8Array): Outcome {
    return this.#run('enter_vif', frame, { ifindex: guest.ifindex });
  }

  /** A frame arrives through a tunnel; `from` undefined: without any. */
  receive(tunnel: { vni: number; from?: string }, frame: Uint8Array): Outcome {
    return this.#run('from_tunnel', frame, { ifindex: this.#overlay, cb: [tunnel.vni, ...sourceWords(tunnel.from)] });
  }

  /** The fragmenter gives a piece back. */
  receivePiece(frame: Uint8Array): Outcome {
    return this.#run('from_frag', frame, { ifindex: this.#fragmenter });
  }

  /** The agent's sockets send a frame on the service link. */
  serve(frame: Uint8Array): Outcome {
    return this.#run('from_service', frame, { ifindex: this.#service });
  }

  /**
   * Nanoseconds that the kernel's clock gives for one run of a program on the frame. `repeat`: so many runs on end, of which the mean
   * is taken; the packet is not reset between them, so only one that leaves it as it was may be repeated.
   */
  time(
    name: 'from_vif' | 'from_tunnel' | 'from_uplink',
    from: Guest | { vni: number; from: string } | 'uplink',
    frame: Uint8Array,
    repeat = 1,
  ): number {
    const context = this.#cameBy(from);
    return inNetns(this.#inside, () => this.program(name).testRun({ data: frame, context, repeat })).durationNs;
  }

  #cameBy(from: Guest | { vni: number; from: string } | 'uplink'): { ifindex: number; cb?: readonly number[] } {
    if (from === 'uplink') return { ifindex: this.#uplink };
    if ('ifindex' in from) return { ifindex: from.ifindex };
    return { ifindex: this.#overlay, cb: [from.vni, ...sourceWords(from.from)] };
  }

  program(name: string): BpfProgram {
    const program = this.#object.programs.get(name);
    assert.ok(program !== undefined, `no program ${name}`);
    return program;
  }

  /** So many runs on end in a thread of its own, with the packet mark. */
  runAside(name: string, guest: Guest, frame: Uint8Array, mark: number, repeat: number): Promise<void> {
    const { fd } = this.program(name);
    const context = { ifindex: guest.ifindex, mark };
    const workerData: HammerWork = { fd, netns: this.#netns.path, frame: Uint8Array.from(frame), context, repeat };
    return new Promise((resolve, reject) => {
      const worker = new Worker(HAMMER_WORKER, { eval: true, workerData, execArgv: ['--conditions=cable-source'] });
      worker.once('error', reject);
      worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`thread ended with ${code}`))));
    });
  }

  #run(name: string, frame: Uint8Array, context: SkbContext): Outcome {
    const out = inNetns(this.#inside, () => this.program(name).testRun({ data: frame, context }));
    const verdict = this.#verdict(out.verdict, out.context.cb ?? []);
    const { mark = 0, priority = 0 } = out.context;
    // A packet names its class by its priority; nothing else that leaves has either.
    assert.equal(priority, verdict.startsWith('queue') ? CB_QUEUE_CLASS + mark : 0);
    if (!/^queue|^mirrored anew/.test(verdict)) assert.equal(mark, 0);
    return {
      mark,
      verdict,
      data: out.data,
      get packet() {
        return /^drop|^pass/.test(verdict) ? '' : describe(out.data);
      },
    };
  }

  #verdict(code: number, [ifindex = 0, deliver = 0, wire = 0, remote = 0, reason = 0]: readonly number[]): string {
    const why = DROP_REASONS.find((one) => one.code === reason)?.name;
    if (code === TC_ACT_UNSPEC) return 'pass';
    if (deliver === 0) {
      assert.equal(code, TC_ACT_SHOT);
      assert.ok(why !== undefined, 'a drop has a reason');
      return `drop ${why}`;
    }
    if (deliver === CB_DELIVER_FLOOD) return `flood ${remote} copies`;
    if (deliver === CB_DELIVER_WAIT) return 'wait';
    assert.equal(code, TC_ACT_REDIRECT);
    return `${this.#place(deliver, ifindex, wire, remote)}${why === undefined ? '' : ` (${why})`}`;
  }

  #hostOf(tunnel: number): string {
    for (const [host, number] of this.#tunnels) if (number === tunnel) return host;
    return `tunnel ${tunnel}`;
  }

  #place(deliver: number, ifindex: number, wire: number, remote: number): string {
    switch (deliver) {
      case CB_DELIVER_VIF:
        return `vif ${this.#names.get(ifindex)}${wire === 0 ? '' : ` vlan ${wire}`}`;
      case CB_DELIVER_PEER:
        return `peer ${this.#names.get(ifindex)}`;
      case CB_DELIVER_FRAGMENTER:
        assert.equal(ifindex, this.#fragmenter);
        return 'fragmenter';
      case CB_DELIVER_SERVICE:
        assert.equal(ifindex, this.#service);
        return 'service';
      case CB_DELIVER_UPLINK:
        assert.equal(ifindex, this.#uplink);
        return `wire${wire === 0 ? '' : ` vlan ${wire}`}`;
      case CB_DELIVER_OVERLAY:
        assert.ok(ifindex === this.#overlay || ifindex === this.#uplink);
        return `${ifindex === this.#uplink ? 'uplink' : 'overlay'} ${wire} ${this.#hostOf(remote)}`;
      case CB_DELIVER_COLLECTOR:
        return `${ifindex === this.#mirrorsEnd ? 'mirrored anew' : 'collector'} ${wire} ${ipv4Text(remote)}`;
      case CB_DELIVER_QUEUE:
        assert.equal(ifindex, this.#queue);
        return `queue ${this.#vifs.get(remote)?.guest.name} ${wire === CB_DIR_INGRESS ? 'in' : 'out'}`;
      default:
        throw new Error(`unknown delivery ${deliver}`);
    }
  }
}

function underlayConfig(address: string): Readonly<Record<string, RodataValue>> {
  const bytes = ipBytes(address);
  return bytes.length === 4 ? { cfg_underlay: bytes.readUInt32BE() } : { cfg_underlay6: bytes };
}

/** The outer source address as `from_tunnel` takes it; undefined: none. */
function sourceWords(from: string | undefined): readonly number[] {
  if (from === undefined) return [0, 0, 0, 0];
  const bytes = addr(from);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return [0, 4, 8, 12].map((at) => view.getUint32(at, true));
}

function ipv4Text(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

const TC_ACT_UNSPEC = -1;
const TC_ACT_SHOT = 2;
const TC_ACT_REDIRECT = 7;

const ZERO_COUNT: CbCount = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n };
const ZERO_VIF = '\0'.repeat(MAPS.cb_vif_2.value.size);
const NOTHING_USED = {
  flows: [0, 0],
  serviceNs: 0n,
  floodNs: 0n,
  probeNs: 0n,
  toldNs: 0n,
  followNs: 0n,
  toldHeld: 0n,
} as const;
const ZERO_FLOW = new Uint8Array(MAPS.cb_flow_2.value.size);
const ZERO_FRAGMENT = new Uint8Array(MAPS.cb_frag_2.value.size);

function addCount(a: CbCount, b: CbCount): CbCount {
  return {
    rxPackets: a.rxPackets + b.rxPackets,
    rxBytes: a.rxBytes + b.rxBytes,
    txPackets: a.txPackets + b.txPackets,
    txBytes: a.txBytes + b.txBytes,
  };
}

function classKey(policy: number, cidr: string): Parameters<typeof MAPS.cb_class_1.key.encode>[0] {
  const [base = '', length = '32'] = cidr.split('/');
  return { prefixlen: 32 + bitsOf(base, Number(length)), policy, addr: addr(base) };
}

/** Bits of the key that count: up to the protocol, the protocol, or the port's prefix. */
function ruleKey(rule: Rule): Parameters<typeof MAPS.cb_rule_1.key.encode>[0] {
  const port = rule.port === undefined ? undefined : 96 + (rule.bits ?? 16);
  return {
    prefixlen: rule.protocol === undefined ? 80 : (port ?? 88),
    policy: rule.policy,
    classId: rule.classId ?? 0,
    direction: rule.direction === 'ingress' ? CB_DIR_INGRESS : CB_DIR_EGRESS,
    family: rule.family === 6 ? CB_FAMILY_V6 : CB_FAMILY_V4,
    protocol: rule.protocol ?? 0,
    portBe: rule.port ?? 0,
  };
}
