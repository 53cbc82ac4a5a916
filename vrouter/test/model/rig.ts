/** The real programs, told of a cloud as an agent would: the only file of the model that knows `World`. */
import assert from 'node:assert/strict';
import {
  CB_NET_F_SNOOPED,
  CB_NET_F_STEER,
  CB_PEER_F_UPLINK,
  CB_POLICY_NONE,
  CB_VIF_F_STATELESS,
} from '../../../packages/agent/src/bpf/abi.gen.ts';
import { type PortPrefix, portPrefixes } from '../../../packages/agent/src/plan/port-ranges.ts';
import { beginAsking, setAsked } from '../groups.ts';
import { ipBytes, macBytes, vxlan } from '../packet.ts';
import { setSteers, steerOf } from '../steers.ts';
import {
  AGENT_MAC,
  FLOWS,
  type FloodTarget,
  type Guest,
  type GuestOptions,
  type Outcome as Ran,
  UPLINK_MAC,
  vifFlags,
  World,
} from '../world.ts';
import { cidrContains, cidrCovers, maskedCidr } from './address.ts';
import type { PacketStep } from './case.ts';
import {
  type Cloud,
  gatewayRouter,
  hasDhcp,
  hostsOf,
  isCarried,
  type Leg,
  mayTunnel,
  membersOf,
  networkNamed,
  type Port,
  peeredBy,
  type Router,
  type Rule,
  receiversHere,
  rulesOf,
  SERVICE_MAC,
  serviceAddresses,
  speakerTo,
} from './cloud.ts';
import { type Counters, NO_PORT, type Outcome, withAddresses, withoutEnds, withoutMacs } from './outcome.ts';
import { frameOf } from './packets.ts';
import type { Tunnel } from './vrouter.ts';
import { usableRoutes } from './ways.ts';

/** As many ports as a case ever has. */
const MOST_PORTS_HERE = 11;

/** Numbers are given at first sight, and kept for as long as the case lasts. */
class Numbers {
  readonly #given = new Map<string, number>();
  readonly #first: number;

  constructor(first: number) {
    this.#first = first;
  }

  of(name: string): number {
    const number = this.#given.get(name) ?? this.#first + this.#given.size;
    this.#given.set(name, number);
    return number;
  }

  nameOf(number: number): string {
    return [...this.#given].find(([, one]) => one === number)?.[0] ?? `(number ${number})`;
  }
}

const FIRST_VNI = 100;

function freshNumbers(): Record<'networks' | 'routers' | 'policies' | 'classes' | 'hosts', Numbers> {
  return {
    networks: new Numbers(FIRST_VNI),
    routers: new Numbers(1),
    policies: new Numbers(CB_POLICY_NONE + 1),
    classes: new Numbers(1),
    hosts: new Numbers(1),
  };
}

/** A VNI that no network here has. */
const NO_VNI = FIRST_VNI - 1;
const UNDERLAY = '192.0.2.';

/** This host's address there, where the vrouter encapsulates itself. */
const OWN_UNDERLAY = `${UNDERLAY}200`;
/** The next hop to other hosts, and an MTU for all that is sent. */
const HOP = { nexthop: `${UNDERLAY}201`, mtu: 9000 } as const;
/** The vrouter does not know how the kernel's routes lead to this host: to it the overlay device tunnels. */
const WITHOUT_HOP = 'h2';
const NEIGHBOUR_MAC = '02:00:00:00:0e:01';
const OUTER_BYTES = 50;
const OUTER_DESTINATION_AT = 30;
const VNI_AT = 46;

/** Who puts VXLAN on and takes it off: the overlay device, or the vrouter itself where it can. */
export type Encapsulation = 'kernel' | 'own';

export type Tracing = {
  /** Directory in bpffs for the maps, of the name `maps`. */
  readonly pinnedMaps: string;
  /** Is given what the trace said, and what then became of the packet. */
  readonly compare: (traced: Outcome, done: Outcome, frame: Buffer) => void;
};

export class Rig {
  readonly #encapsulation: Encapsulation;
  readonly #tracing: Tracing | undefined;
  readonly #world: World;
  readonly #guests = new Map<string, Guest>();
  #plugged: ReadonlySet<string> = new Set();
  #numbers = freshNumbers();
  /** Packets that the vrouter has encapsulated itself, or has taken from the underlay. */
  throughUplink = 0;

  /** `tracing`: the packets of guests and of hosts are traced before they are sent. */
  constructor(encapsulation: Encapsulation = 'kernel', tracing?: Tracing) {
    this.#encapsulation = encapsulation;
    this.#tracing = tracing;
    this.#world = new World(MOST_PORTS_HERE, FLOWS, {
      ...(encapsulation === 'own' ? { underlay: OWN_UNDERLAY } : {}),
      ...(tracing === undefined ? {} : { pinnedMaps: tracing.pinnedMaps }),
    });
  }

  close(): void {
    this.#world.close();
  }

  /** Everything anew, for this cloud. */
  begin(cloud: Cloud): void {
    this.#world.reset();
    this.#guests.clear();
    this.#numbers = freshNumbers();
    this.change(cloud);
  }

  /** The agent writes what has changed, and says that decisions may be others now. */
  change(cloud: Cloud): void {
    const here = cloud.ports.filter(({ host, programmed }) => host === undefined && programmed);
    this.#plugged = new Set(here.map(({ name }) => name));
    this.#world.rewrite(() => this.#write(cloud));
  }

  wait(seconds: number): void {
    this.#world.age(seconds);
  }

  /** Has the port a device here, if only from before it moved? */
  hasDevice(name: string): boolean {
    return this.#guests.has(name);
  }

  send(name: string, frame: Buffer): Outcome {
    const guest = this.#guests.get(name);
    assert.ok(guest !== undefined, `port ${name} has no device here`);
    const traced = this.#trace(guest, frame);
    const done = this.#outcome(this.#world.send(guest, frame));
    if (traced !== undefined) this.#tracing?.compare(traced, done, frame);
    return done;
  }

  receive({ network, from }: Tunnel, frame: Buffer): Outcome {
    const vni = network === undefined ? NO_VNI : this.#numbers.networks.of(network);
    if (from === undefined) return this.#outcome(this.#world.receive({ vni }, frame));
    const host = this.#underlayOf(from);
    const traced = this.#trace({ vni, from: host }, frame);
    const taken = this.#encapsulation === 'own' ? this.#arrive(vni, host, frame) : undefined;
    const done = taken ?? this.#outcome(this.#world.receive({ vni, from: host }, frame));
    if (traced !== undefined) this.#tracing?.compare(traced, done, frame);
    return done;
  }

  /** Traces the packet, and does not send it. */
  traceOnly(step: PacketStep): void {
    const frame = frameOf(step.packet);
    if (step.kind === 'receive') {
      const { network, from } = step.tunnel;
      const vni = network === undefined ? NO_VNI : this.#numbers.networks.of(network);
      if (from !== undefined) this.#trace({ vni, from: this.#underlayOf(from) }, frame);
      return;
    }
    const guest = this.#guests.get(step.port);
    if (guest !== undefined) this.#trace(guest, frame);
  }

  #trace(from: Parameters<World['trace']>[0], frame: Buffer): Outcome | undefined {
    // Without a device there is nobody to begin with: an agent refuses such a trace.
    if (this.#tracing === undefined || ('vif' in from && !this.#plugged.has(from.name))) return undefined;
    const { verdict, data } = this.#world.trace(from, frame);
    return this.#outcome({ verdict, data });
  }

  /** What is in all maps, by name: for who looks whether something changed. */
  maps(): ReadonlyMap<string, string> {
    return this.#world.maps();
  }

  /** By the underlay's device. Undefined: it is left to the host, whose overlay device takes the tunnel off. */
  #arrive(vni: number, from: string, frame: Buffer): Outcome | undefined {
    const outer = { src: NEIGHBOUR_MAC, dst: UPLINK_MAC, from, to: OWN_UNDERLAY };
    const ran = this.#world.arrive(vxlan(outer, { vni }, frame));
    if (ran.verdict === 'pass') return undefined;
    this.throughUplink += 1;
    return this.#outcome(ran);
  }

  /** The frame with the ends that it has on the way from the agent. */
  serve(name: string, frame: Buffer): Outcome {
    const to = this.#guests.get(name)?.service ?? NOBODYS;
    const ends = { src: macBytes(AGENT_MAC), dst: macBytes(SERVICE_MAC), from: ipBytes(AGENT), to: ipBytes(to) };
    return this.#outcome(this.#world.serve(withAddresses(frame, ends)));
  }

  counters(): Map<string, Counters> {
    const all: [string, Guest | undefined][] = [...this.#guests, [NO_PORT, undefined]];
    return new Map(all.map(([name, guest]) => [name, this.#world.countersOf(guest)]));
  }

  #outcome({ verdict, data }: Pick<Ran, 'verdict' | 'data'>): Outcome {
    const frame = Buffer.from(data);
    const [place = '', name = '', more = ''] = verdict.split(' ');
    switch (place) {
      case 'drop':
        return { kind: 'drop', reason: name };
      case 'vif':
      case 'peer':
        return {
          kind: 'port',
          port: name,
          frame,
          ...(more === '' ? {} : { refusal: more.slice(1, -1) }),
          handover: place,
        };
      case 'uplink':
        this.throughUplink += 1;
        // As the outer headers say, not the trace.
        return this.#toHost(
          String(frame.readUIntBE(VNI_AT, 3)),
          frame.subarray(OUTER_DESTINATION_AT, OUTER_DESTINATION_AT + 4).join('.'),
          frame.subarray(OUTER_BYTES),
        );
      case 'overlay':
        return this.#toHost(name, more, frame);
      case 'service':
        return this.#agentOutcome(frame);
      case 'fragmenter':
        return { kind: 'cut', frame: withoutMacs(frame) };
      case 'wait':
        return { kind: 'wait' };
      default:
        return { kind: 'copies', count: Number(name), frame };
    }
  }

  #toHost(vni: string, underlay: string, frame: Buffer): Outcome {
    return { kind: 'host', network: this.#numbers.networks.nameOf(Number(vni)), host: this.#hostAt(underlay), frame };
  }

  /** Whom the agent takes the packet for; what else it has for ends is told where it is not as it should be. */
  #agentOutcome(frame: Buffer): Outcome {
    const source = frame.subarray(26, 30).join('.');
    const guest = [...this.#guests.values()].find(({ service }) => service === source);
    const rest = [frame.subarray(0, 12).toString('hex'), frame.subarray(30, 34).join('.')].join(' ');
    const right = `${Buffer.concat([macBytes(AGENT_MAC), macBytes(SERVICE_MAC)]).toString('hex')} ${AGENT}`;
    const port = rest === right ? (guest?.name ?? `(${source})`) : `(${source}, ${rest})`;
    return { kind: 'agent', port, frame: withoutEnds(frame) };
  }

  #underlayOf(host: string): string {
    return `${UNDERLAY}${this.#numbers.hosts.of(host)}`;
  }

  #hostAt(underlay: string): string {
    return this.#numbers.hosts.nameOf(Number(underlay.slice(UNDERLAY.length)));
  }

  #write(cloud: Cloud): void {
    for (const port of cloud.ports) this.#writePort(cloud, port);
    const secured = cloud.ports.filter(({ host, portSecurity }) => host === undefined && portSecurity);
    const onePort = new Map(secured.map((port) => [this.#policyOf(port), port]));
    for (const [policy, port] of onePort) this.#writePolicy(cloud, policy, port);
    for (const router of cloud.routers) {
      const vrf = this.#numbers.routers.of(router.name);
      for (const leg of router.legs)
        this.#world.addRouterInterface(vrf, { ...leg, ...this.#way(cloud, leg.network), ip: leg.address });
      for (const { cidr, leg, nextHop } of usableRoutes(router)) {
        if (nextHop === undefined) continue;
        this.#world.addRoute(vrf, maskedCidr(cidr), { ...leg, ...this.#way(cloud, leg.network), nexthop: nextHop });
      }
    }
    for (const router of cloud.routers) this.#writePolicies(cloud, router);
    for (const router of cloud.routers) this.#writePeerings(cloud, router);
    for (const { name } of cloud.networks) this.#writeNetwork(cloud, name);
    this.#writeHosts(cloud);
  }

  #writePolicies(cloud: Cloud, { name, legs, policies }: Router): void {
    if (policies.length === 0) return;
    const steers = policies.map(({ action, network, from, to, protocol, ports, nextHop }, at) => {
      const leg = nextHop === undefined ? undefined : legs.find(({ cidr }) => cidrContains(cidr, nextHop));
      const way = leg === undefined ? undefined : { mac: leg.mac, ...this.#way(cloud, leg.network) };
      return steerOf(this.#world, at + 1, action, {
        ...{ from, to, protocol, dports: ports },
        net: network === undefined ? undefined : this.#numbers.networks.of(network),
        ...(way === undefined || nextHop === undefined ? {} : { way: { ...way, nextHop } }),
      });
    });
    setSteers(this.#world, this.#numbers.routers.of(name), steers);
  }

  /** A route of the router's own to the same prefix stands. */
  #writePeerings(cloud: Cloud, router: Router): void {
    const taken = new Set(usableRoutes(router).map(({ cidr }) => maskedCidr(cidr)));
    const sideOf = (leg: Leg) => ({ ...leg, ...this.#way(cloud, leg.network) });
    for (const [at, { own, theirs }] of peeredBy(cloud, router).entries()) {
      const number = this.#numbers.routers.of(`${router.name} peering ${at}`);
      const peers = theirs.filter(({ cidr }) => !taken.has(cidr)).map(sideOf);
      this.#world.addPeering(this.#numbers.routers.of(router.name), number, own.map(sideOf), peers);
    }
  }

  #writeHosts(cloud: Cloud): void {
    const own = this.#encapsulation === 'own';
    for (const host of cloud.peers) {
      const networks = cloud.networks.filter(({ name }) => mayTunnel(cloud, host, name));
      const vnis = networks.map(({ name }) => this.#numbers.networks.of(name));
      this.#world.addPeer(this.#underlayOf(host), vnis, own ? CB_PEER_F_UPLINK : 0);
    }
    const hosts = new Set(cloud.ports.flatMap(({ host }) => host ?? []));
    for (const host of own ? hosts : []) if (host !== WITHOUT_HOP) this.#world.addHop(this.#underlayOf(host), HOP);
  }

  #way(cloud: Cloud, network: string): { vni: number; mtu: number } {
    return { vni: this.#numbers.networks.of(network), mtu: networkNamed(cloud, network)?.mtuBytes ?? 0 };
  }

  #writePort(cloud: Cloud, port: Port): void {
    const vni = this.#numbers.networks.of(port.network);
    if (port.host !== undefined) {
      const host = this.#underlayOf(port.host);
      for (const ip of port.addresses) this.#world.addRemote(vni, ip, port.mac, host);
      return;
    }
    const options = this.#guestOptions(cloud, port);
    const known = this.#guests.get(port.name);
    const guest = known ?? this.#world.addGuest(port.name, options);
    if (known !== undefined) this.#world.setGuest(guest, options);
    this.#guests.set(port.name, guest);
    if (known === undefined) beginAsking(this.#world, guest);
    setAsked(this.#world, guest);
    for (const { mac, cidr } of port.pairs) {
      const [base = '', length = '32'] = maskedCidr(cidr).split('/');
      this.#world.allowSource(guest, mac, base, Number(length));
    }
    if (!port.programmed) this.#world.unplug(guest);
  }

  #guestOptions(cloud: Cloud, port: Port): GuestOptions {
    const [ip = '', ...moreIps] = port.addresses;
    return {
      ...{ mac: port.mac, ip, moreIps, vni: this.#numbers.networks.of(port.network), policy: this.#policyOf(port) },
      flags:
        vifFlags({ ...port, dhcp: hasDhcp(cloud, port), pod: port.kind === 'pod' }) |
        (port.portSecurity && port.stateless ? CB_VIF_F_STATELESS : 0),
      dhcpServer: speakerTo(cloud, port),
    };
  }

  #policyOf(port: Port): number {
    return port.portSecurity
      ? this.#numbers.policies.of(`${[...port.groups].sort().join()} in ${port.network}`)
      : CB_POLICY_NONE;
  }

  #writeNetwork(cloud: Cloud, network: string): void {
    const vni = this.#numbers.networks.of(network);
    const { mtuBytes = 0, subnets = [], snooped = false } = networkNamed(cloud, network) ?? {};
    this.#world.setMtu(vni, mtuBytes);
    const isSteered = cloud.routers.some(
      ({ legs, policies }) => policies.length > 0 && legs.some((leg) => leg.network === network),
    );
    this.#world.setFlags(vni, (isSteered ? CB_NET_F_STEER : 0) | (snooped ? CB_NET_F_SNOOPED : 0));
    if (!subnets.some(({ dhcp }) => dhcp)) this.#world.turnDhcpOff(vni);
    const router = gatewayRouter(cloud, network);
    this.#world.addServices(vni, serviceAddresses(cloud, network), router && this.#numbers.routers.of(router.name));
    if (!isCarried(cloud, network)) return;
    const guests = receiversHere(cloud, network).flatMap((port): FloodTarget[] => {
      const guest = this.#guests.get(port.name);
      return guest === undefined ? [] : [{ guest }];
    });
    const hosts = hostsOf(cloud, network).map((host): FloodTarget => ({ host: this.#underlayOf(host) }));
    this.#world.setFlood(vni, [...guests, ...hosts]);
  }

  /**
   * The policy of a port. Each prefix that a rule's remote has is of the class of all remotes that hold it; and each class has their rules, and
   * those for any.
   */
  #writePolicy(cloud: Cloud, policy: number, port: Port): void {
    const rules = rulesOf(cloud, port) ?? [];
    const remotes = new Map(rules.map((rule) => [remoteName(rule), prefixesOf(cloud, rule, port.network)]));
    const classes = new Map<number, ReadonlySet<string>>([[0, new Set([ANY])]]);
    for (const prefix of new Set([...remotes.values()].flat())) {
      const names = [...remotes].filter(([, prefixes]) => prefixes.some((one) => cidrCovers(one, prefix)));
      const set = new Set([...names.map(([name]) => name), ANY]);
      const classId = this.#numbers.classes.of(`${policy} ${[...set].sort().join()}`);
      this.#world.addClass(policy, prefix, classId);
      classes.set(classId, set);
    }
    for (const [classId, set] of classes) {
      for (const rule of rules) if (set.has(remoteName(rule))) this.#writeRule(policy, classId, rule);
    }
  }

  #writeRule(policy: number, classId: number, rule: Rule): void {
    const { direction, protocol } = rule;
    const base = { policy, classId, direction, ...(protocol === undefined ? {} : { protocol }) };
    for (const { value, length } of portsOf(rule)) {
      this.#world.addRule(length === 0 ? base : { ...base, port: value, bits: length });
    }
  }
}

function portsOf({ protocol, portRange, icmp }: Rule): readonly PortPrefix[] {
  if (protocol !== undefined && icmp !== undefined) {
    return [{ value: (icmp.type << 8) | (icmp.code ?? 0), length: icmp.code === undefined ? 8 : 16 }];
  }
  if (protocol !== undefined && portRange !== undefined) return portPrefixes(portRange.min, portRange.max);
  return [{ value: 0, length: 0 }];
}

const AGENT = '198.18.0.1';
/** A service address that nobody has. */
const NOBODYS = '198.18.99.0';

const ANY = 'any';

function remoteName({ remoteGroup, remoteCidr }: Rule): string {
  if (remoteGroup !== undefined) return `group ${remoteGroup}`;
  return remoteCidr === undefined ? ANY : maskedCidr(remoteCidr);
}

function prefixesOf(cloud: Cloud, { remoteGroup, remoteCidr }: Rule, network: string): readonly string[] {
  if (remoteGroup !== undefined) return membersOf(cloud, remoteGroup, network).map((address) => `${address}/32`);
  return remoteCidr === undefined ? [] : [maskedCidr(remoteCidr)];
}
