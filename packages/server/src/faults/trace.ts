/** The way of a packet from one port to an address and back, host by host, as the hosts' own programs decide it. */
import { CableError, MAX_TRACE_FLOWS, type Port, type TraceEnd, type TraceHop, type TracePacket } from '@cable/model';
import { answerValue } from './answer-values.ts';
import { boundHost, type FaultDeps } from './counted.ts';
import type { Eyes } from './eyes.ts';
import { type Sending, sendingOf, subnetsOf } from './next-hop.ts';
import { type Copied, followCopies, isGroup, judgeGroup } from './trace-groups.ts';
import { type ShownHop, showHop } from './trace-text.ts';

/** What is to be traced. Ports and ICMP type as the field's tools have them. */
export type TraceQuery = {
  readonly to: string;
  /** Null: the port's own. */
  readonly source: string | null;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly bytes: number;
};

/**
 * `passes`: there, and an answer back; `arrives`: there, or out on a physical network; what comes back is not known; `dropped`; `refused`: dropped, and the sender is told;
 * `unknown`: not all of it could be found out.
 */
export type Verdict = 'passes' | 'arrives' | 'dropped' | 'refused' | 'unresolved' | 'unknown';

/** Why it does not pass. `way`: on which. */
export type Cause = {
  readonly way: 'there' | 'back';
  readonly host: string | null;
  readonly reason: string;
  readonly meaning: string;
  readonly remedy: string;
  /** The subnet that keeps it to itself. */
  readonly private_subnet?: { readonly id: string; readonly name: string };
};

export type Trace = {
  readonly from: { readonly id: string; readonly name: string };
  readonly packet: Readonly<Record<string, unknown>>;
  readonly verdict: Verdict;
  readonly cause: Cause | null;
  /** The port that it comes to, as far as the caller may know it. */
  readonly receiver: { readonly id: string; readonly name: string } | null;
  readonly there: readonly ShownHop[];
  readonly back: readonly ShownHop[];
};

/** One way: its hops, and how it ends. */
export type Way = {
  readonly hops: readonly ShownHop[];
  readonly end: WayEnd;
  readonly host: string;
  /** What it would begin, for who traces its answer. */
  readonly begun: readonly Begun[];
};
/** What a hop would begin at its host: `isOpen`: addresses become others there, and its agent does not say of which flow. */
type Begun = {
  readonly host: string;
  readonly flow: string | null;
  readonly isTranslated: boolean;
  readonly isOpen: boolean;
};
export type WayEnd = Exclude<TraceEnd, { kind: 'host' }> | Unfinished | Copied;
/** `unresolved`: nobody answers for the next hop's address; `unknown`: a host cannot be asked; `missing`: the guest itself has no way; `astray`: an answer goes elsewhere than it should. */
type Unfinished = {
  readonly kind: 'unresolved' | 'unknown' | 'missing' | 'astray';
  readonly why: string;
  readonly remedy: string;
};

export type Context = { readonly deps: FaultDeps; readonly eyes: Eyes; readonly taught?: Taught | undefined };

/** A machine on the physical network of the network, whose MAC its own question for an address of ours has told. */
export type Taught = { readonly networkId: string; readonly address: string };

/** More hosts than any way has: from a guest's to its receiver's, by a gateway. */
const MAX_HOPS = 6;
const ANSWERS: Readonly<Record<string, number>> = { '1/8': 0, '58/128': 129 };
const ICMP = [1, 58];

/** Traces it there, and, if it comes to a port, an answer back. Throws `PortNotBound`, `InvalidInput`, and what keeps the first host from being asked. */
export async function trace(deps: FaultDeps, port: Port, query: TraceQuery, eyes: Eyes): Promise<Trace> {
  const context = { deps, eyes };
  boundHost(port);
  if (port.fixed_ips.some(({ ip_address: own }) => own === query.to))
    throw new CableError('InvalidInput', `${query.to} is the port’s own address: nothing of that leaves it.`);
  const packet: TracePacket = { ...query, source: query.source ?? '', destination: query.to };
  const sending = sendingFrom(deps, port, query.to, query.source);
  const sent = 'missing' in sending ? packet : { ...packet, source: sending.source };
  const there = await followFrom(context, port, sending, sent, null);
  const { receiver, back } = await answerOf(context, there, sent);
  return {
    from: { id: port.id, name: port.name },
    packet: showPacket(sent),
    ...judge(there, back, { port, eyes }),
    receiver: eyes.port(receiver?.id ?? null),
    there: there.hops,
    back: back?.hops ?? [],
  };
}

/** What the port that it came to answers; `back` undefined: nothing, or nobody knows what becomes of that. */
export async function answerOf(
  context: Context,
  there: Way,
  sent: TracePacket,
  taught?: Taught,
): Promise<{ readonly receiver: Port | undefined; readonly back: Way | undefined }> {
  const { deps } = context;
  if (there.end.kind !== 'port') return { receiver: undefined, back: undefined };
  const receiver = deps.tables.of('port').get(there.end.portId ?? '');
  const reply = receiver === undefined || isOpen(there) ? undefined : answerTo({ ...sent, ...there.end.packet });
  if (receiver === undefined || reply === undefined) return { receiver, back: undefined };
  const sending = sendingFrom(deps, receiver, reply.destination, reply.source);
  return { receiver, back: await followFrom({ ...context, taught }, receiver, sending, reply, there.begun) };
}

function sendingFrom(deps: FaultDeps, port: Port, to: string, source: string | null): Sending {
  return sendingOf(
    subnetsOf(port, (id) => deps.tables.of('subnet').get(id)),
    to,
    source,
  );
}

/** Undefined: nothing answers that. */
function answerTo(packet: TracePacket): TracePacket | undefined {
  const turned = { ...packet, source: packet.destination, destination: packet.source };
  if (!ICMP.includes(packet.protocol))
    return { ...turned, sourcePort: packet.destinationPort, destinationPort: packet.sourcePort };
  const icmpType = ANSWERS[`${packet.protocol}/${packet.icmpType}`];
  return icmpType === undefined ? undefined : { ...turned, icmpType };
}

/** What a port sends. `answered`: what the packet that it answers would have begun; null: it answers none. */
async function followFrom(
  context: Context,
  port: Port,
  sending: Sending,
  packet: TracePacket,
  answered: readonly Begun[] | null,
): Promise<Way> {
  const host = boundHost(port);
  if ('missing' in sending) {
    const remedy = 'Give the subnet a gateway_ip or a host route, or the port an address of that family.';
    return { hops: [], end: { kind: 'missing', why: sending.missing, remedy }, host, begun: [] };
  }
  const { nextHop } = sending;
  const { taught } = context;
  const isOutside = port.network_id === taught?.networkId && nextHop === taught.address;
  const from = { kind: 'port', portId: port.id, nextHop, ...(isOutside ? { isOutside } : {}), packet } as const;
  return follow(context, { port, host, from }, answered);
}

/** From where it enters a host on. `port`: whose way it is. */
export async function follow(
  context: Context,
  start: {
    readonly port: Port;
    readonly host: string;
    readonly from: Exclude<Ask['from'], { kind: 'host' }>;
  },
  answered: readonly Begun[] | null,
): Promise<Way> {
  const { port } = start;
  const { nextHop } = start.from;
  const hops: ShownHop[] = [];
  const begun: Begun[] = [];
  let { host }: { host: string } = start;
  let from: Ask['from'] = start.from;
  for (let n = 0; n < MAX_HOPS; n += 1) {
    const said = await askOrSay(
      context.deps,
      host,
      { from, ...answerAt(host, answered) },
      n === 0 && answered === null,
    );
    if ('why' in said) return { hops, end: said, host, begun };
    const hop = taughtHop(said, context.taught);
    const { tables } = context.deps;
    begun.push({ host, flow: hop.began ?? null, ...translationOf(hop) });
    const outside = from.kind === 'outside' ? { outside: from.networkId } : {};
    const isGroups = isGroup(nextHop);
    const shown = { port, eyes: context.eyes, tables, isGroups, ...outside };
    hops.push(showHop(hop, { ...shown, host, receiver: hop.end }));
    const isSeen = context.eyes.port(port.id) !== null;
    if (hop.end === null) return { hops, end: unresolved(hop, isSeen ? nextHop : 'its next hop'), host, begun };
    if (hop.end.kind === 'copies' && isGroups) {
      const copied = await followCopies(context.deps, { port, host, hop }, (other, entry) =>
        askOrSay(context.deps, other, { from: entry, isAnswer: false }, false),
      );
      for (const one of copied.hops) hops.push(showHop(one.hop, { ...shown, host: one.host, receiver: null }));
      return { hops, end: copied.end, host, begun };
    }
    if (hop.end.kind !== 'host') return { hops, end: hop.end, host, begun };
    const { underlay, vni, frame } = hop.end;
    const next = tables.of('host').by('underlay', underlay)[0]?.id;
    if (next === undefined) return { hops, end: unknown(`no host has the underlay address ${underlay}`), host, begun };
    from = { kind: 'host', underlay: tables.of('host').get(host)?.underlay ?? '', vni, frame };
    host = next;
  }
  return { hops, end: unknown(`it does not end within ${MAX_HOPS} hosts`), host, begun };
}

/** A trace teaches nobody: a machine that has just asked for an address of ours is known to who answers it. */
function taughtHop(hop: TraceHop, taught: Taught | undefined): TraceHop {
  const isAsked = hop.steps.some(
    (step) => step.kind === 'outside' && !step.isKnown && step.address === taught?.address,
  );
  if (!isAsked || hop.end?.kind !== 'drop' || hop.end.reason.name !== 'no_neighbour') return hop;
  const steps = hop.steps.map((step) => (step.kind === 'outside' ? { ...step, isKnown: true } : step));
  return { ...hop, steps, end: { kind: 'outside' } };
}

function answerAt(host: string, answered: readonly Begun[] | null): Pick<Ask, 'isAnswer' | 'flows'> {
  const flows = (answered ?? []).flatMap((one) => (one.host === host && one.flow !== null ? [one.flow] : []));
  return { isAnswer: answered !== null, ...(flows.length === 0 ? {} : { flows: flows.slice(0, MAX_TRACE_FLOWS) }) };
}

/** Do addresses become others here, and the agent, of an older build, does not say by which flow answers become them again? A flow that is there does that itself. */
function translationOf({ steps, began }: TraceHop): Pick<Begun, 'isTranslated' | 'isOpen'> {
  const isTranslated = steps.some(({ kind }) => kind === 'translation' || kind === 'member' || kind === 'service');
  const isKnown = typeof began === 'string' || steps.some(({ kind }) => kind === 'flow');
  return { isTranslated, isOpen: isTranslated && !isKnown };
}

/** The first host's refusal is the caller's error; later ones end the trace. */
async function askOrSay(
  deps: FaultDeps,
  host: string,
  ask: Omit<Ask, 'kind'>,
  isFirst: boolean,
): Promise<TraceHop | Unfinished> {
  try {
    return await askTrace(deps, host, ask);
  } catch (err) {
    if (isFirst || !(err instanceof CableError)) throw err;
    return unknown(err.message.replace(/\.$/, ''));
  }
}

type Ask = Extract<Parameters<FaultDeps['ask']>[1], { kind: 'trace' }>;

async function askTrace({ ask }: FaultDeps, host: string, asked: Omit<Ask, 'kind'>): Promise<TraceHop> {
  return answerValue('trace', host, await ask(host, { kind: 'trace', ...asked }));
}

function unknown(why: string): Unfinished {
  return { kind: 'unknown', why, remedy: 'Bring the host’s agent back, then trace again.' };
}

function unresolved({ neighbour }: TraceHop, nextHop: string): WayEnd {
  const end = neighbour?.end;
  if (end?.kind === 'drop' || end?.kind === 'refusal') return end;
  return {
    kind: 'unresolved',
    why: `nobody is known to have ${nextHop}: the question for its MAC goes to all of the network`,
    remedy: `See that a bound port has ${nextHop}, or an allowed address pair for it and a guest that answers.`,
  };
}

/** Whether nobody knows what an answer of what goes this way becomes. */
function isOpen({ end, begun }: Way): boolean {
  const isUnsaid = end.kind === 'port' && end.packet === undefined;
  return begun.some((one) => one.isOpen || (isUnsaid && one.isTranslated));
}

const GOOD: readonly WayEnd['kind'][] = ['port', 'service', 'answered', 'outside'];

/** Why nobody knows what becomes of it, or of its answer. */
const OPEN = {
  outside: {
    reason: 'outside',
    meaning: 'it leaves by the uplink of a physical network: what becomes of it there is not seen',
    remedy: 'Capture where that network goes on.',
  },
  translated: {
    reason: 'translated',
    meaning:
      'addresses become others on the way, and an agent of an older build does not say how they become themselves again',
    remedy: 'Bring the hosts’ agents to this version, or send it from the guest and see the answers in `cable flows`.',
  },
  cut: {
    reason: 'cut',
    meaning: 'it is cut into pieces, which are not followed',
    remedy: 'Trace a packet that fits each network on the way (--bytes).',
  },
  newer: {
    reason: 'not_understood',
    meaning: 'its host says an end that this server does not know',
    remedy: 'Bring this server to the version of the host’s agent.',
  },
} as const;

export function judge(
  there: Way,
  back: Way | undefined,
  shown: { readonly port: Port; readonly eyes: Eyes },
): Pick<Trace, 'verdict' | 'cause'> {
  const ways = [['there', there] as const, ...(back === undefined ? [] : [['back', back] as const])];
  const atOf = (way: Cause['way'], { host }: Way): Pick<Cause, 'way' | 'host'> => ({
    way,
    host: shown.eyes.host(host, shown.port),
  });
  const left = GOOD.includes(there.end.kind) ? ways.find(([, one]) => one.end.kind === 'outside') : undefined;
  if (left !== undefined) return { verdict: 'arrives', cause: { ...atOf(left[0], left[1]), ...OPEN.outside } };
  if (there.end.kind === 'port' && isOpen(there))
    return { verdict: 'arrives', cause: { ...atOf('back', there), ...OPEN.translated } };
  const bad = ways.find(([, one]) => !GOOD.includes(one.end.kind));
  if (bad === undefined) return { verdict: 'passes', cause: null };
  const [way, broken] = bad;
  const { end } = broken;
  const at = atOf(way, broken);
  switch (end.kind) {
    case 'drop':
    case 'refusal': {
      const { name, meaning, remedy } = end.reason;
      const verdict = end.kind === 'drop' ? 'dropped' : 'refused';
      const steps = broken.hops.flatMap((hop) => hop.steps);
      const keeper = steps.findLast((step) => step['private_subnet'] !== undefined)?.['private_subnet'] as
        | Cause['private_subnet']
        | undefined;
      const named = keeper === undefined ? {} : { private_subnet: keeper };
      const why = keeper === undefined ? meaning : `${meaning}: ${keeper.name || keeper.id}`;
      return { verdict, cause: { ...at, reason: name, meaning: why, remedy, ...named } };
    }
    case 'group': {
      const judged = judgeGroup(end);
      if (judged === null) return { verdict: 'arrives', cause: null };
      return { verdict: judged.verdict, cause: { ...at, ...judged.cause } };
    }
    case 'copies':
      return {
        verdict: 'unresolved',
        cause: {
          ...at,
          reason: 'unknown_unicast',
          meaning: 'nobody is known to have the MAC: it goes to all of the network',
          remedy: 'See that a bound port has the destination address.',
        },
      };
    case 'unresolved':
    case 'unknown':
    case 'missing':
    case 'astray': {
      const verdict = end.kind === 'missing' || end.kind === 'astray' ? 'dropped' : end.kind;
      return { verdict, cause: { ...at, reason: REASONS[end.kind], meaning: end.why, remedy: end.remedy } };
    }
    case 'cut':
      return { verdict: 'unknown', cause: { ...at, ...OPEN.cut } };
    default:
      return { verdict: 'unknown', cause: { ...at, ...OPEN.newer } };
  }
}

const REASONS = {
  unresolved: 'no_neighbour',
  unknown: 'host_unreachable',
  missing: 'no_way',
  astray: 'answer_astray',
} as const;

export function showPacket(packet: TracePacket): Readonly<Record<string, unknown>> {
  const isIcmp = ICMP.includes(packet.protocol);
  return {
    source: packet.source,
    destination: packet.destination,
    protocol: packet.protocol,
    ...(isIcmp
      ? { icmp_type: packet.icmpType, icmp_code: packet.icmpCode }
      : { source_port: packet.sourcePort, destination_port: packet.destinationPort }),
    bytes: packet.bytes,
  };
}
