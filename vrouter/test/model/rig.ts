/** The real programs, over what `write-cloud.ts` has written: no other files of the model know `World`. */
import assert from 'node:assert/strict';
import { ipBytes, macBytes, vxlan } from '../packet.ts';
import { AGENT_MAC, FLOWS, type Guest, type Outcome as Ran, UPLINK_MAC, World } from '../world.ts';
import type { PacketStep } from './case.ts';
import { type Cloud, SERVICE_MAC } from './cloud.ts';
import { type Counters, NO_PORT, type Outcome, withAddresses, withoutEnds, withoutMacs } from './outcome.ts';
import { frameOf } from './packets.ts';
import type { Tunnel } from './vrouter.ts';
import { writeBalancers } from './write-balancers.ts';
import { FIRST_VNI, freshNumbers, type Target, UNDERLAY, underlayOf, writeCloud } from './write-cloud.ts';
import { ageQuestions, expectNextHops, forgetFragments, writeOutside } from './write-outside.ts';

/** As many ports as a case ever has. */
const MOST_PORTS_HERE = 11;

/** A VNI that no network here has. */
const NO_VNI = FIRST_VNI - 1;

/** This host's address there, where the vrouter encapsulates itself. */
const OWN_UNDERLAY = `${UNDERLAY}200`;
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
  /** Of the networks outside. */
  #tags: ReadonlyMap<string, number | undefined> = new Map();
  #numbers = freshNumbers();
  /** Fragments that have come from outside: to which address. */
  readonly #passed: { readonly network: string; readonly to: Buffer }[] = [];
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
    for (const { network, to } of this.#passed.splice(0))
      forgetFragments(this.#world, this.#numbers.networks.of(network), to);
    this.#world.reset();
    this.#guests.clear();
    this.#numbers = freshNumbers();
    this.change(cloud);
    expectNextHops(this.#target, cloud);
  }

  /** The agent writes what has changed, and says that decisions may be others now. */
  change(cloud: Cloud): void {
    const here = cloud.ports.filter(({ host, programmed }) => host === undefined && programmed);
    this.#tags = new Map(cloud.networks.flatMap(({ name, outside }) => (outside ? [[name, outside.tag]] : [])));
    this.#plugged = new Set(here.map(({ name }) => name));
    this.#world.rewrite(() => {
      writeCloud(this.#target, cloud);
      writeOutside(this.#target, cloud);
      writeBalancers(this.#target, cloud);
    });
  }

  wait(seconds: number): void {
    this.#world.age(seconds);
    ageQuestions(this.#world, seconds);
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
    const host = underlayOf(this.#target, from);
    const traced = this.#trace({ vni, from: host }, frame);
    const taken = this.#encapsulation === 'own' ? this.#arrive(vni, host, frame) : undefined;
    const done = taken ?? this.#outcome(this.#world.receive({ vni, from: host }, frame));
    if (traced !== undefined) this.#tracing?.compare(traced, done, frame);
    return done;
  }

  /** The uplink receives a frame of a network outside. */
  arrive(network: string, frame: Buffer): Outcome {
    if (isFragment(frame)) this.#passed.push({ network, to: Buffer.from(frame.subarray(30, 34)) });
    const tag = this.#tags.get(network);
    return this.#outcome(tag === undefined ? this.#world.arrive(frame) : this.#world.arriveTagged(tag, frame));
  }

  /** Traces the packet, and does not send it. */
  traceOnly(step: PacketStep): void {
    const frame = frameOf(step.packet);
    if (step.kind === 'arrive') return;
    if (step.kind === 'receive') {
      const { network, from } = step.tunnel;
      const vni = network === undefined ? NO_VNI : this.#numbers.networks.of(network);
      if (from !== undefined) this.#trace({ vni, from: underlayOf(this.#target, from) }, frame);
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
      case 'pass':
        return { kind: 'pass' };
      case 'wire':
        return this.#wireOutcome(verdict, frame);
      default:
        return { kind: 'copies', count: Number(name), frame };
    }
  }

  #wireOutcome(verdict: string, frame: Buffer): Outcome {
    const [, tag, refusal] = /^wire(?: vlan (\d+))?(?: \((\w+)\))?$/.exec(verdict) ?? [];
    const named = [...this.#tags].find(([, one]) => one === (tag === undefined ? undefined : Number(tag)));
    const network = named?.[0] ?? `(${verdict})`;
    return { kind: 'wire', network, frame, ...(refusal === undefined ? {} : { refusal }) };
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

  get #target(): Target {
    const own = this.#encapsulation === 'own';
    return { world: this.#world, numbers: this.#numbers, guests: this.#guests, encapsulatesItself: own };
  }

  #hostAt(underlay: string): string {
    return this.#numbers.hosts.nameOf(Number(underlay.slice(UNDERLAY.length)));
  }
}

function isFragment(frame: Buffer): boolean {
  return frame.length >= 34 && frame.readUInt16BE(12) === 0x0800 && (frame.readUInt16BE(20) & 0x3fff) !== 0;
}

const AGENT = '198.18.0.1';
/** A service address that nobody has. */
const NOBODYS = '198.18.99.0';
