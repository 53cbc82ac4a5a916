/**
 * A host for packet tests: the real programs over real maps, in a network namespace with a device for each VIF, one for the
 * overlay and one for the service link. Entries are what an agent would write.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import {
  CB_DELIVER_FLOOD,
  CB_DELIVER_OVERLAY,
  CB_DELIVER_PEER,
  CB_DELIVER_SERVICE,
  CB_DELIVER_VIF,
  CB_DIR_EGRESS,
  CB_DIR_INGRESS,
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_SERVICE,
  CB_ENDPOINT_VIF,
  CB_FAMILY_V4,
  CB_FLOOD_REMOTE,
  CB_FLOOD_VIF,
  CB_ROUTE_CONNECTED,
  CB_ROUTE_NEXTHOP,
  CB_STAT_OVERLAY,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  CB_VIF_F_DHCP,
  CB_VIF_F_PEER,
  type CbFloodTarget,
  type CbFlow,
  type CbFlowKey,
  type CbStat,
  DROP_REASONS,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import type { MapSpec } from '../../packages/agent/src/bpf/codec.ts';
import type { BpfMap } from '../../packages/agent/src/bpf/map.ts';
import { type LoadedObject, loadObject } from '../../packages/agent/src/bpf/object.ts';
import type { BpfProgram } from '../../packages/agent/src/bpf/program.ts';
import type { SkbContext } from '../../packages/agent/src/bpf/skb.ts';
import { inNetns } from '../../packages/agent/src/net/netns.ts';
import { createNetns, type TestNetns } from '../../packages/agent/src/net/testing.ts';
import { fillBank } from '../../packages/agent/src/reconcile/program-slots.ts';
import { describe, ipBytes, macBytes } from './packet.ts';

export const SERVICE_MAC = 'fa:16:3e:ca:b1:e0';
export const AGENT_MAC = '02:00:00:00:ca:b0';
export const UPLINK_MAC = '02:00:00:00:ca:b1';
export const OBJECT: string = fileURLToPath(new URL('../../build/vrouter/vrouter.bpf.o', import.meta.url));
const TEST_OBJECT = fileURLToPath(new URL('../../build/vrouter/vrouter-test.bpf.o', import.meta.url));

/** The large tables, at a test's size. (An LRU table much smaller than this evicts early: it hands out entries by CPU.) */
const SIZES = { cb_flow_1: 8192 } as const;
const NO_ADDRESS = new Uint8Array(16);

/** The 128-bit form of an IPv4 address. */
export function addr(ip: string): Uint8Array {
  return Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), ipBytes(ip)]);
}

/** One guest on this host. */
export type Guest = {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: string;
  readonly ip: string;
  readonly vni: number;
  readonly slot: number;
};

export type GuestOptions = {
  readonly mac: string;
  readonly ip: string;
  readonly vni: number;
  /** Default 0: everything is allowed. */
  readonly policy?: number;
  /** CB_VIF_F_*; default: anti-spoofing, up, DHCP. */
  readonly flags?: number;
  readonly dhcpServer?: string;
  readonly mtu?: number;
};

/** One rule, as cb_rule_1 has it. Left out: any. `bits`: of the port that count. */
export type Rule = {
  readonly policy: number;
  readonly direction: 'ingress' | 'egress';
  readonly classId?: number;
  readonly protocol?: number;
  readonly port?: number;
  readonly bits?: number;
};

/** One receiver of broadcast. `down`: its admin state is. */
export type FloodTarget =
  | { readonly guest: Guest; readonly policy?: number; readonly down?: boolean }
  | { readonly host: string };

/** What became of a packet, in words, and the packet itself. */
export type Outcome = {
  /**
   * `vif NAME`, `peer NAME`, `overlay VNI REMOTE` (by the device), `uplink VNI REMOTE` (encapsulated), `service`, `flood N copies`, `drop REASON`,
   * `pass` (left to the host); a refusal: `vif NAME (REASON)`.
   */
  readonly verdict: string;
  /** `describe` of the packet as it left; empty when dropped or left to the host. */
  readonly packet: string;
  readonly data: Uint8Array;
};

export const DEFAULT_FLAGS: number = CB_VIF_F_ANTISPOOF | CB_VIF_F_ADMIN_UP | CB_VIF_F_DHCP;
export const OPEN_FLAGS: number = CB_VIF_F_ADMIN_UP;
export const POD_FLAGS: number = DEFAULT_FLAGS | CB_VIF_F_PEER;

export class World {
  readonly #netns: TestNetns;
  readonly #object: LoadedObject;
  readonly #overlay: number;
  readonly #service: number;
  readonly #uplink: number;
  readonly #names = new Map<number, string>();
  readonly #spare: number[];
  #slot = 2;

  /** `underlay`: this host's address there; the vrouter then encapsulates itself. */
  constructor(vifs = 8, underlay?: string) {
    this.#netns = createNetns();
    try {
      this.#netns.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
      this.#spare = Array.from({ length: vifs }, (_, i) => this.#addDevice(`vif${i}`));
      this.#overlay = this.#addDevice('cablevx');
      this.#service = this.#addDevice('cables1');
      this.#uplink = this.#addDevice('up0');
      this.#netns.ip('link', 'set', 'up0', 'address', UPLINK_MAC);
      this.#object = loadObject({
        path: TEST_OBJECT,
        maxEntries: SIZES,
        rodata: {
          cfg_overlay_ifindex: this.#overlay,
          cfg_service_ifindex: this.#service,
          cfg_service_mac: macBytes(AGENT_MAC),
          ...(underlay === undefined
            ? {}
            : { cfg_own_encapsulation: 1, cfg_underlay: ipBytes(underlay).readUInt32BE() }),
        },
      });
    } catch (err) {
      this.#netns.remove();
      throw err;
    }
    fillBank(this.slots, 0, this.#object.programs);
    this.#put(MAPS.cb_stat_1, { ifindex: CB_STAT_OVERLAY }, ZERO_STAT);
  }

  close(): void {
    this.#object.close();
    this.#netns.remove();
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

  map(spec: { readonly name: string }): BpfMap {
    const map = this.#object.maps.get(spec.name);
    assert.ok(map !== undefined, `no map ${spec.name}`);
    return map;
  }

  #put<K, V>(spec: MapSpec<K, V>, key: K, value: V): void {
    this.map(spec).update(spec.key.encode(key), spec.value.encode(value));
  }

  #drop<K, V>(spec: MapSpec<K, V>, key: K): void {
    assert.ok(this.map(spec).delete(spec.key.encode(key)), `${spec.name} had no such entry`);
  }

  /** Empties the flow and fragment tables. */
  forgetFlows(): void {
    this.map(MAPS.cb_flow_1).clear();
    this.map(MAPS.cb_frag_1).clear();
  }

  /** Every guest may send to the agent again as after a pause. */
  fillBuckets(): void {
    for (let slot = 0; slot < this.#slot; slot++) this.#put(MAPS.cb_bucket_1, slot, { fullNs: 0n });
  }

  /** A guest on this host, known to its network. */
  addGuest(name: string, options: GuestOptions): Guest {
    const ifindex = this.#spare.shift();
    assert.ok(ifindex !== undefined, 'no device left for another guest');
    this.#names.set(ifindex, name);
    const guest = { name, ifindex, slot: this.#slot++, ...options };
    this.setVif(guest, options);
    this.#put(MAPS.cb_slot_1, { slot: guest.slot }, { ifindex });
    this.#put(MAPS.cb_stat_1, { ifindex }, ZERO_STAT);
    this.allowSource(guest, guest.mac, guest.ip);
    this.setEndpoint(options.vni, [options.ip], options.mac, { kind: CB_ENDPOINT_VIF, ifindex });
    return guest;
  }

  /** (Re)writes the guest's entry in cb_vif_1. */
  setVif(guest: Guest, options: GuestOptions): void {
    this.#put(
      MAPS.cb_vif_1,
      { ifindex: guest.ifindex },
      {
        portId: new Uint8Array(16),
        slot: guest.slot,
        vni: options.vni,
        policy: options.policy ?? 0,
        flags: options.flags ?? DEFAULT_FLAGS,
        mtuBytes: options.mtu ?? 1450,
        mac: macBytes(options.mac),
        addr: addr(options.ip),
        addr6: NO_ADDRESS,
        dhcpServer: options.dhcpServer === undefined ? NO_ADDRESS : addr(options.dhcpServer),
      },
    );
  }

  unplug(guest: Guest): void {
    this.#drop(MAPS.cb_vif_1, { ifindex: guest.ifindex });
  }

  /** `length`: of the IPv4 prefix. */
  allowSource(guest: Guest, mac: string, ip: string, length = 32): void {
    const key = { prefixlen: 96 + 96 + length, ifindex: guest.ifindex, mac: macBytes(mac), addr: addr(ip) };
    this.#put(MAPS.cb_source_1, key, { flags: 0 });
  }

  setEndpoint(
    vni: number,
    ips: readonly string[],
    mac: string,
    where: { kind: number; ifindex?: number; vrf?: number; remote?: string; flags?: number },
  ): void {
    const value = {
      kind: where.kind,
      ifindex: where.ifindex ?? 0,
      vrf: where.vrf ?? 0,
      flags: where.flags ?? 0,
      mac: macBytes(mac),
      remote: where.remote === undefined ? NO_ADDRESS : addr(where.remote),
    };
    for (const ip of ips) this.#put(MAPS.cb_ep_1, { vni, addr: addr(ip) }, value);
    this.#put(MAPS.cb_mac_1, { vni, mac: macBytes(mac) }, value);
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
      MAPS.cb_route_1,
      { prefixlen: 32 + 96 + Number(length), vrf, addr: addr(base) },
      {
        kind: to.nexthop === undefined ? CB_ROUTE_CONNECTED : CB_ROUTE_NEXTHOP,
        vni: to.vni,
        mtuBytes: to.mtu ?? 1450,
        mac: macBytes(to.mac),
        nexthop: to.nexthop === undefined ? NO_ADDRESS : addr(to.nexthop),
      },
    );
  }

  /** The service MAC and addresses that it answers for. */
  addServices(vni: number, ips: readonly string[], vrf = 0): void {
    this.setEndpoint(vni, ips, SERVICE_MAC, { kind: CB_ENDPOINT_SERVICE, vrf });
  }

  /** `flags`: CB_PEER_F_*. */
  addPeer(host: string, flags = 0): void {
    this.#put(MAPS.cb_peer_1, { addr: addr(host) }, { flags });
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
  setFlood(vni: number, targets: readonly FloodTarget[], perChunk = 16): void {
    for (let chunk = 0; chunk * perChunk < targets.length; chunk++) {
      const target = targets.slice(chunk * perChunk, (chunk + 1) * perChunk).map(floodTarget);
      this.#put(MAPS.cb_flood_1, { vni, chunk }, { count: target.length, target });
    }
  }

  setEpoch(epoch: number): void {
    this.#put(MAPS.cb_conf_1, 0, { epoch });
  }

  /** Every flow entry, in words and whole. */
  flows(): { readonly key: CbFlowKey; readonly value: CbFlow }[] {
    return this.map(MAPS.cb_flow_1)
      .entries()
      .map(({ key, value }) => ({ key: MAPS.cb_flow_1.key.decode(key), value: MAPS.cb_flow_1.value.decode(value) }));
  }

  /** Rewrites every flow entry. */
  changeFlows(change: (flow: CbFlow) => CbFlow): void {
    for (const { key, value } of this.flows()) this.#put(MAPS.cb_flow_1, key, change(value));
  }

  deleteFlow(key: CbFlowKey): void {
    this.#drop(MAPS.cb_flow_1, key);
  }

  /** Counters of a guest, or of what belongs to none. */
  stat(guest?: Guest): CbStat {
    const key = MAPS.cb_stat_1.key.encode({ ifindex: guest?.ifindex ?? CB_STAT_OVERLAY });
    const values = (this.map(MAPS.cb_stat_1).lookupPerCpu(key) ?? []).map((bytes) =>
      MAPS.cb_stat_1.value.decode(bytes),
    );
    return values.reduce(addStat, ZERO_STAT);
  }

  /** Packets that programs have cloned to a device. */
  sentTo(guest: Guest | 'overlay'): number {
    const ifindex = guest === 'overlay' ? this.#overlay : guest.ifindex;
    const links: readonly { ifindex: number; stats64: { tx: { packets: number } } }[] = JSON.parse(
      this.#netns.ip('-s', '-j', 'link', 'show'),
    );
    return links.find((link) => link.ifindex === ifindex)?.stats64.tx.packets ?? 0;
  }

  /** A guest sends a frame. */
  send(guest: Guest, frame: Uint8Array, gsoSize = 0): Outcome {
    return this.#run('from_vif', frame, { ifindex: guest.ifindex, gsoSize });
  }

  /** A frame arrives on the underlay; for this host if its destination is UPLINK_MAC. */
  arrive(frame: Uint8Array, gsoSize = 0): Outcome {
    return this.#run('from_uplink', frame, { ifindex: this.#uplink, gsoSize });
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
    const source = tunnel.from === undefined ? 0 : ipBytes(tunnel.from).readUInt32BE();
    return this.#run('from_tunnel', frame, { ifindex: this.#overlay, cb: [tunnel.vni, source] });
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
    name: 'from_vif' | 'from_tunnel',
    guest: Guest | { vni: number; from: string },
    frame: Uint8Array,
    repeat = 1,
  ): number {
    const context =
      'ifindex' in guest
        ? { ifindex: guest.ifindex }
        : { ifindex: this.#overlay, cb: [guest.vni, ipBytes(guest.from).readUInt32BE()] };
    return inNetns(this.#netns.path, () => this.program(name).testRun({ data: frame, context, repeat })).durationNs;
  }

  program(name: string): BpfProgram {
    const program = this.#object.programs.get(name);
    assert.ok(program !== undefined, `no program ${name}`);
    return program;
  }

  #run(name: string, frame: Uint8Array, context: SkbContext): Outcome {
    const out = inNetns(this.#netns.path, () => this.program(name).testRun({ data: frame, context }));
    const verdict = this.#verdict(out.verdict, out.context.cb ?? []);
    return { verdict, packet: /^drop|^pass/.test(verdict) ? '' : describe(out.data), data: out.data };
  }

  #verdict(code: number, [ifindex = 0, deliver = 0, vni = 0, remote = 0, reason = 0]: readonly number[]): string {
    const why = DROP_REASONS.find((one) => one.code === reason)?.name;
    if (code === TC_ACT_UNSPEC) return 'pass';
    if (deliver === 0) {
      assert.equal(code, TC_ACT_SHOT);
      assert.ok(why !== undefined, 'a drop has a reason');
      return `drop ${why}`;
    }
    if (deliver === CB_DELIVER_FLOOD) return `flood ${remote} copies`;
    assert.equal(code, TC_ACT_REDIRECT);
    return `${this.#place(deliver, ifindex, vni, remote)}${why === undefined ? '' : ` (${why})`}`;
  }

  #place(deliver: number, ifindex: number, vni: number, remote: number): string {
    switch (deliver) {
      case CB_DELIVER_VIF:
        return `vif ${this.#names.get(ifindex)}`;
      case CB_DELIVER_PEER:
        return `peer ${this.#names.get(ifindex)}`;
      case CB_DELIVER_SERVICE:
        assert.equal(ifindex, this.#service);
        return 'service';
      case CB_DELIVER_OVERLAY:
        assert.ok(ifindex === this.#overlay || ifindex === this.#uplink);
        return `${ifindex === this.#uplink ? 'uplink' : 'overlay'} ${vni} ${[24, 16, 8, 0].map((shift) => (remote >>> shift) & 0xff).join('.')}`;
      default:
        throw new Error(`unknown delivery ${deliver}`);
    }
  }
}

const TC_ACT_UNSPEC = -1;
const TC_ACT_SHOT = 2;
const TC_ACT_REDIRECT = 7;

const ZERO_STAT: CbStat = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n, drops: Array(32).fill(0n) };

function addStat(a: CbStat, b: CbStat): CbStat {
  return {
    rxPackets: a.rxPackets + b.rxPackets,
    rxBytes: a.rxBytes + b.rxBytes,
    txPackets: a.txPackets + b.txPackets,
    txBytes: a.txBytes + b.txBytes,
    drops: a.drops.map((n, i) => n + (b.drops[i] ?? 0n)),
  };
}

function floodTarget(target: FloodTarget): CbFloodTarget {
  if ('host' in target) return { kind: CB_FLOOD_REMOTE, ifindex: 0, policy: 0, flags: 0, remote: addr(target.host) };
  const { ifindex } = target.guest;
  return {
    kind: CB_FLOOD_VIF,
    ifindex,
    policy: target.policy ?? 0,
    flags: target.down ? 0 : CB_VIF_F_ADMIN_UP,
    remote: NO_ADDRESS,
  };
}

function classKey(policy: number, cidr: string): Parameters<typeof MAPS.cb_class_1.key.encode>[0] {
  const [base = '', length = '32'] = cidr.split('/');
  return { prefixlen: 32 + 96 + Number(length), policy, addr: addr(base) };
}

/** Bits of the key that count: up to the protocol, the protocol, or the port's prefix. */
function ruleKey(rule: Rule): Parameters<typeof MAPS.cb_rule_1.key.encode>[0] {
  const port = rule.port === undefined ? undefined : 96 + (rule.bits ?? 16);
  return {
    prefixlen: rule.protocol === undefined ? 80 : (port ?? 88),
    policy: rule.policy,
    classId: rule.classId ?? 0,
    direction: rule.direction === 'ingress' ? CB_DIR_INGRESS : CB_DIR_EGRESS,
    family: CB_FAMILY_V4,
    protocol: rule.protocol ?? 0,
    portBe: rule.port ?? 0,
  };
}
