import type { Logger } from '@cable/kit';
import {
  type AskFault,
  groupMac,
  type HostAsk,
  isGroupAddress,
  macToBytes,
  parseIp,
  type TraceEnd,
  type TraceHop,
  type TracePacket,
  type TraceStart,
  type TraceStep,
} from '@cable/model';
import {
  CB_DELIVER_FLOOD,
  CB_DELIVER_FRAGMENTER,
  CB_DELIVER_OVERLAY,
  CB_DELIVER_SERVICE,
  CB_DELIVER_UPLINK,
  CB_DIR_INGRESS,
  CB_ENDPOINT_REMOTE,
  CB_FAMILY_V4,
  CB_FAMILY_V6,
  CB_FLOOD_TUNNEL,
  CB_FLOOD_VIF,
  CB_ROUTE_NEXTHOP,
  CB_STEER_ALLOW,
  CB_STEER_REROUTE,
  CB_STEP_ALLOWED,
  CB_STEP_COPY,
  CB_STEP_DENIED,
  CB_STEP_DESTINATION_BECOMES,
  CB_STEP_ENDPOINT,
  CB_STEP_FLOW,
  CB_STEP_MEMBER,
  CB_STEP_MIRROR,
  CB_STEP_NEIGHBOUR,
  CB_STEP_PASSED_OVER,
  CB_STEP_ROUTE,
  CB_STEP_ROUTER,
  CB_STEP_SEEK,
  CB_STEP_SERVICE,
  CB_STEP_SOURCE,
  CB_STEP_SOURCE_BECOMES,
  CB_STEP_STEER,
  CB_STEP_WAIT,
  CB_TRACE_F_ANSWER,
  type CbStep,
  type CbTraceFlow,
  cbTraceFlow,
} from '../bpf/abi.gen.ts';
import { formatAddress, formatMac, hex, isMapped, parseAddress, parseMac } from '../plan/address.ts';
import { typedSlices } from '../plan/inputs.ts';
import type { Planner } from '../plan/planner.ts';
import { tunnelName } from '../plan/tunnels.ts';
import type { ListedSlices } from '../show/names.ts';
import { dropReason } from './drops.ts';
import { ruleText } from './flows.ts';
import { endsOf, macOf, packetFrame, type Sender, whoHas } from './frames.ts';
import { type HostNumbers, readNumbers } from './numbers.ts';
import type { RawTrace, TraceInput, TracePrograms } from './trace-programs.ts';

export type TracerDeps = {
  readonly host: string;
  readonly slices: ListedSlices;
  readonly planner: Pick<Planner, 'vifs' | 'ids' | 'numberOf' | 'denierOf'>;
  /** Loads the programs, for the devices as they are now. */
  readonly load: () => TracePrograms;
  readonly log: Logger;
};

type Asked = Extract<HostAsk, { kind: 'trace' }>;

type Sending = {
  readonly sender: Sender;
  /** Its address, and the same in the 128-bit form. */
  readonly nextHop: string;
  readonly target: Uint8Array;
  /** Its MAC; undefined: it is asked for. */
  readonly known: Uint8Array | undefined;
};

/** `mac` undefined: nobody has said it. */
type Answered = { readonly mac: Uint8Array | undefined; readonly end: TraceEnd };

export const NO_PORT: AskFault = { code: 'no-port', message: 'the port has no device here' };

/** How long the programs stay loaded after a trace. */
const KEEP_MS = 60_000;

/** Traces packets through this host. The programs are loaded with the first trace. */
export class Tracer {
  readonly #deps: TracerDeps;
  #programs: TracePrograms | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: TracerDeps) {
    this.#deps = deps;
  }

  /** What becomes of the packet here. */
  trace(ask: Asked): { readonly value: TraceHop } | { readonly fault: AskFault } {
    const { from, isAnswer } = ask;
    const answered = { flags: isAnswer ? CB_TRACE_F_ANSWER : 0, flows: (ask.flows ?? []).flatMap(readFlow) };
    if (from.kind === 'port') return this.#fromPort(from, answered);
    if (from.kind === 'outside') return this.#fromOutside(from);
    const remote = parseAddress(from.underlay);
    if (remote === undefined) return { fault: { code: 'failed', message: 'underlay is no address' } };
    const tunnel = this.#deps.planner.ids('tunnel').get(tunnelName(from.underlay, remote)) ?? 0;
    const input = { from: { wireId: from.vni, tunnel }, ...answered };
    const frame = Buffer.from(from.frame, 'base64');
    if (frame.length < ETHERNET_BYTES) return { fault: { code: 'failed', message: 'frame is no frame' } };
    const raw = this.#loaded().run({ ...input, frame });
    return { value: { neighbour: null, ...this.#show(raw, input.from) } };
  }

  /** The programs that are loaded go: the next trace loads them anew. */
  close(): void {
    clearTimeout(this.#timer);
    this.#programs?.close();
    this.#programs = undefined;
  }

  #fromPort(
    { portId, nextHop, isOutside, packet }: Extract<TraceStart, { kind: 'port' }>,
    answered: Pick<TraceInput, 'flags' | 'flows'>,
  ): { readonly value: TraceHop } | { readonly fault: AskFault } {
    const { host, slices, planner } = this.#deps;
    const vif = planner.vifs.get(portId)?.vif;
    const mac = parseMac(typedSlices(slices).item('host', host, portId)?.macAddress ?? '');
    const [source, target] = [parseAddress(packet.source), parseAddress(nextHop)];
    if (vif === undefined || mac === undefined) return { fault: NO_PORT };
    if (source === undefined || target === undefined) return { fault: { code: 'failed', message: 'no address' } };
    const by = { sender: { mac, address: source }, nextHop, target };
    const known = isOutside === true ? MACHINE_MAC : undefined;
    return { value: this.#send({ vif }, { ...by, known }, packet, answered) };
  }

  /** A network that has nobody here is not answered for. */
  #fromOutside({
    networkId,
    asker,
    nextHop,
    packet,
  }: Extract<TraceStart, { kind: 'outside' }>): { readonly value: TraceHop } | { readonly fault: AskFault } {
    const net = this.#deps.planner.ids('network').get(networkId);
    const [address, target] = [parseAddress(asker), parseAddress(nextHop)];
    if (address === undefined || target === undefined) return { fault: { code: 'failed', message: 'no address' } };
    if (net === undefined) {
      const neighbour = { address: nextHop, mac: null, end: { kind: 'copies', count: 0 } } as const;
      return { value: { neighbour, steps: [], end: null } };
    }
    const sender = { mac: MACHINE_MAC, address };
    const by = { sender, nextHop, target, known: undefined };
    return { value: this.#send({ net }, by, packet, { flags: 0, flows: [] }) };
  }

  /** The question for the next hop's MAC, unless that is known, and the packet, if it is answered. */
  #send(
    from: TraceInput['from'],
    { sender, nextHop, target, known }: Sending,
    packet: TracePacket,
    answered: Pick<TraceInput, 'flags' | 'flows'>,
  ): TraceHop {
    const sure = known ?? macOfGroup(nextHop);
    const { mac, end }: Answered =
      sure === undefined ? this.#ask(from, sender, { nextHop, target }) : { mac: sure, end: { kind: 'answered' } };
    const neighbour = { address: nextHop, mac: mac === undefined ? null : formatMac(mac), end };
    if (mac === undefined) return { neighbour, steps: [], end: null };
    const isAnswer = (answered.flags & CB_TRACE_F_ANSWER) !== 0;
    const frame = packetFrame({ from: sender.mac, to: mac }, packet, isAnswer);
    return { neighbour, ...this.#show(this.#loaded().run({ from, ...answered, frame }), from) };
  }

  /** The MAC of the next hop, as the sender learns it. */
  #ask(from: TraceInput['from'], sender: Sender, { nextHop, target }: Pick<Sending, 'nextHop' | 'target'>): Answered {
    const raw = this.#loaded().run({ from, flags: 0, frame: whoHas(sender, target) });
    const { end, steps } = this.#show(raw, from);
    if (end.kind === 'answered') return { mac: macOf(raw.frame), end };
    // To machines outside ports answer themselves.
    return { mac: 'net' in from ? this.#macOfAsked(steps, nextHop) : undefined, end };
  }

  /** Of the port that has the address, if it gets a copy of the question. */
  #macOfAsked(steps: readonly TraceStep[], address: string): Uint8Array | undefined {
    const { host, slices } = this.#deps;
    for (const step of steps) {
      const portId = step.kind === 'copy' && step.passed ? step.portId : null;
      const port = portId === null ? undefined : typedSlices(slices).item('host', host, portId);
      if (port?.fixedIps.some(({ ipAddress }) => ipAddress === address) === true) return parseMac(port.macAddress);
    }
    return undefined;
  }

  #loaded(): TracePrograms {
    if (this.#programs === undefined) {
      this.#programs = this.#deps.load();
      this.#deps.log.debug({}, 'loaded the programs that trace');
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), KEEP_MS).unref();
    return this.#programs;
  }

  #show(raw: RawTrace, from: TraceInput['from']): Omit<TraceHop, 'neighbour' | 'end'> & { readonly end: TraceEnd } {
    const numbers = readNumbers(this.#deps);
    const began = raw.began === undefined ? null : Buffer.from(cbTraceFlow.encode(raw.began)).toString('base64');
    const steps = raw.steps.flatMap((step) => showStep(step, numbers, this.#deps.planner));
    return { steps, end: this.#end(raw, from, numbers), began };
  }

  #end(
    { deliver, ifindex, wire, remote, reason, frame, steps }: RawTrace,
    from: TraceInput['from'],
    numbers: HostNumbers,
  ): TraceEnd {
    const to = steps.findLast((step) => step.kind === CB_STEP_ENDPOINT && step.a !== CB_ENDPOINT_REMOTE)?.id;
    const isBack = 'vif' in from && to === undefined;
    const packet = endsOf(frame);
    const seen = packet === undefined ? {} : { packet };
    if (deliver === 0) return { kind: 'drop', reason: dropReason(reason) };
    if (reason !== 0) return { kind: 'refusal', reason: dropReason(reason) };
    if (deliver === CB_DELIVER_SERVICE) return { kind: 'service' };
    // There is no way from outside to outside.
    if (deliver === CB_DELIVER_UPLINK) return 'net' in from ? { kind: 'answered' } : { kind: 'outside', ...seen };
    if (deliver === CB_DELIVER_FRAGMENTER) return { kind: 'cut' };
    if (deliver === CB_DELIVER_FLOOD)
      return { kind: 'copies', count: remote, frame: Buffer.from(frame).toString('base64') };
    if (deliver === CB_DELIVER_OVERLAY) {
      const underlay = numbers.underlay(remote) ?? '';
      return { kind: 'host', underlay, vni: wire, frame: Buffer.from(frame).toString('base64') };
    }
    if (isBack) return { kind: 'answered' };
    const portId = to === undefined ? this.#portOn(ifindex) : numbers.port(to);
    return { kind: 'port', portId, ...seen };
  }

  #portOn(ifindex: number): string | null {
    for (const vif of this.#deps.planner.vifs.values()) if (vif.ifindex === ifindex) return vif.portId;
    return null;
  }
}

const ETHERNET_BYTES = 14;

/** Of a machine outside: no port's. */
const MACHINE_MAC = Buffer.from('02cab1e00001', 'hex');

/** Nobody is asked for it. Undefined: it is no group's address. */
function macOfGroup(address: string): Uint8Array | undefined {
  const ip = parseIp(address);
  return ip !== undefined && isGroupAddress(ip) ? macToBytes(groupMac(ip)) : undefined;
}

/** A flow as another answer of this agent said it; of another build's form: none. */
function readFlow(text: string): readonly CbTraceFlow[] {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === cbTraceFlow.size ? [cbTraceFlow.decode(bytes)] : [];
}

/** A kind that this code does not know is left out. */
function showStep(
  { kind, id, a, b, addr }: CbStep,
  numbers: HostNumbers,
  planner: Pick<Planner, 'denierOf'>,
): readonly TraceStep[] {
  switch (kind) {
    case CB_STEP_SOURCE:
      return [{ kind: 'source', isAsked: a !== 0, isAllowed: id === 0 }];
    case CB_STEP_FLOW:
      return [{ kind: 'flow', holds: b !== 0, isAnswer: a !== 0 }];
    case CB_STEP_ROUTER:
      return [{ kind: 'router', routerId: numbers.router(id) }];
    case CB_STEP_ROUTE: {
      const nextHop = a === CB_ROUTE_NEXTHOP ? formatAddress(addr) : null;
      const peeringId = b === 0 ? null : numbers.peering(b);
      const by = peeringId === null ? {} : { peeringId };
      return [{ kind: 'route', networkId: numbers.network(id), nextHop, ...by }];
    }
    case CB_STEP_STEER: {
      const action = a === CB_STEER_ALLOW ? 'allow' : a === CB_STEER_REROUTE ? 'reroute' : 'drop';
      return [{ kind: 'policy-route', policy: ruleText(id), action, nextHop: formatAddress(addr) || null }];
    }
    case CB_STEP_ENDPOINT:
      if (a !== CB_ENDPOINT_REMOTE) return [{ kind: 'receiver', portId: numbers.port(id) }];
      return [{ kind: 'tunnel', underlay: numbers.underlay(id) ?? '' }];
    case CB_STEP_ALLOWED:
      return [{ kind: 'rule', direction: a === CB_DIR_INGRESS ? 'ingress' : 'egress', rule: ruleText(id) }];
    case CB_STEP_DENIED: {
      const direction = a === CB_DIR_INGRESS ? 'ingress' : 'egress';
      const family = isMapped(addr) ? CB_FAMILY_V4 : CB_FAMILY_V6;
      const packet = { direction: a, family, protocol: id >>> 16, portBe: id & 0xffff };
      const by = planner.denierOf(b, `${hex(addr)}/128`, packet) ?? 0;
      return [{ kind: 'rule', direction, rule: null, ...(by === 0 ? {} : { deniedBy: ruleText(by) }) }];
    }
    case CB_STEP_COPY: {
      const isVif = a === CB_FLOOD_VIF;
      return [
        {
          kind: 'copy',
          portId: isVif ? numbers.port(id) : null,
          underlay: a === CB_FLOOD_TUNNEL ? numbers.underlay(id) : null,
          passed: b === 0,
          isOutside: !isVif && a !== CB_FLOOD_TUNNEL,
        },
      ];
    }
    case CB_STEP_PASSED_OVER:
      return [{ kind: 'passed-over', count: id, isReport: a !== 0 }];
    case CB_STEP_SOURCE_BECOMES:
    case CB_STEP_DESTINATION_BECOMES: {
      const of = kind === CB_STEP_SOURCE_BECOMES ? 'source' : 'destination';
      return [{ kind: 'translation', of, address: formatAddress(addr), port: a === 0 ? null : a }];
    }
    case CB_STEP_MEMBER:
      return [{ kind: 'member' }];
    case CB_STEP_SERVICE:
      return [{ kind: 'service', service: ruleText(id), address: formatAddress(addr), port: a }];
    case CB_STEP_MIRROR:
      return [
        {
          kind: 'mirror',
          mirrorId: numbers.mirror(id),
          portId: numbers.port(b),
          direction: a === CB_DIR_INGRESS ? 'ingress' : 'egress',
        },
      ];
    case CB_STEP_NEIGHBOUR:
      return [{ kind: 'outside', networkId: numbers.network(id), address: formatAddress(addr), isKnown: a !== 0 }];
    case CB_STEP_SEEK:
      return [{ kind: 'seek', networkId: numbers.network(id), address: formatAddress(addr) }];
    case CB_STEP_WAIT:
      return [{ kind: 'limit', direction: a === CB_DIR_INGRESS ? 'ingress' : 'egress' }];
    default:
      return [];
  }
}
