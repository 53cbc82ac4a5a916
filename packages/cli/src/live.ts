/** `cable trace --live`: packets of a flow as they pass, and what becomes of them. */
import type { CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { ask, endText, type Named, nameOf } from './fault-text.ts';
import { becomesText, type Followed, follow, protocolText, recordText, ruleText, timeText } from './follow.ts';
import { harmless, type Row } from './render.ts';

type Drop = { readonly reason: string; readonly packets: number; readonly meaning: string };
type Side = {
  readonly port: Named;
  readonly host: string | null;
  readonly sent: number;
  readonly received: number;
  readonly drops: readonly Drop[];
  readonly error: string | null;
};
type Live = Followed & { readonly receiver: Named | null; readonly sides: readonly Side[] };

/** Not for packets that are there already. */
const REFUSED = ['icmpType', 'icmpCode', 'bytes'] as const;

/** Until Ctrl-C, or as many packets as `--count` says. */
export async function showLive(
  context: CliContext,
  { from, to }: { readonly from: string; readonly to: string },
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  for (const name of REFUSED)
    if (options[name] !== undefined)
      throw new CliError(2, `--${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)} is not for --live`);
  const most = countOf(options['count']);
  const { source, proto: protocol, sport, dport, rate } = options;
  const shown = new Shown(context);
  const askNext = async (more: Row): Promise<Live> =>
    (await ask(context.client(), from, 'live', { to, source, protocol, sport, dport, rate, ...more })) as Live;
  await follow(context, {
    what: 'records',
    next: async (marker) => {
      const answer = await askNext({ marker });
      shown.begin(answer);
      for (const record of answer.records) {
        shown.record(record);
        if (shown.packets === most) return { ...answer, isEnd: true };
      }
      shown.end(answer);
      return answer;
    },
    last: (marker) => askNext({ marker, end: true }),
  });
}

const MAX_DECIDED = 1000;

function countOf(given: unknown): number {
  if (given === undefined) return Number.POSITIVE_INFINITY;
  const count = /^\d{1,9}$/.test(String(given)) ? Number(given) : 0;
  if (count === 0) throw new CliError(2, '--count: give a whole number from 1 on');
  return count;
}

/** What has been shown, so that nothing is said twice. */
class Shown {
  readonly #context: CliContext;
  /** By port and flow: what was decided about it. */
  readonly #decided = new Map<string, string>();
  /** By port: what was said of it last. */
  readonly #said = new Map<string, string>();
  readonly #drops = new Map<string, number>();
  #dropped = new Set<string>();
  packets = 0;
  #isBegun = false;

  constructor(context: CliContext) {
    this.#context = context;
  }

  begin({ sides, receiver }: Live): void {
    this.#dropped = new Set();
    for (const { port, error } of sides)
      this.#say(`error ${port.id}`, error === null ? '' : `${nameOf(port)}: ${error}`);
    if (this.#isBegun) return;
    this.#isBegun = true;
    const names = sides.map(({ port, host }) => (host === null ? nameOf(port) : `${nameOf(port)} on ${host}`));
    const alone = receiver === null ? '; the receiver’s host is not asked' : ', each by the clock of its host';
    this.#say('names', `shown is what passes ${names.join(' and ')}${alone}`);
  }

  record(record: Row): void {
    const { print, json } = this.#context;
    const isPacket = record['kind'] === 'packet';
    if (isPacket) this.packets += 1;
    if (record['kind'] === 'drop') this.#dropped.add(`${portOf(record)} ${String(record['reason'])}`);
    if (json) print(`${JSON.stringify(record)}\n`);
    else if (isPacket) this.#packet(record);
    else print(recordText(record, nameOf(record['port'] as Named)));
  }

  /** What was decided is said when it is another than before. */
  #packet(record: Row): void {
    const { print } = this.#context;
    print(`${harmless(packetText(record))}\n`);
    const flow = record['flow'] as Row | null;
    const decided = decidedText(flow);
    const key = `${portOf(record)} ${String(flow?.['marker'] ?? `none ${String(record['sent'])}`)}`;
    if (this.#decided.get(key) === decided) return;
    if (this.#decided.size > MAX_DECIDED) this.#decided.clear();
    this.#decided.set(key, decided);
    print(`${harmless(`    ${decided}`)}\n`);
  }

  /** What was dropped and not told one by one, of all that the ports send and receive. */
  end({ sides, begun_anew: isAnew }: Live): void {
    for (const { port, drops } of sides) {
      for (const { reason, packets, meaning } of drops) {
        const key = `${port.id} ${reason}`;
        const more = packets - (isAnew ? packets : (this.#drops.get(key) ?? 0));
        this.#drops.set(key, packets);
        if (more > 0 && !this.#dropped.has(key))
          this.#say(
            key,
            `${more} dropped meanwhile of all that ${nameOf(port)} sends and receives: ${reason} (${meaning})`,
            true,
          );
      }
    }
  }

  /** Unless it was said last. */
  #say(what: string, text: string, again = false): void {
    if (!again && (this.#said.get(what) ?? '') === text) return;
    this.#said.set(what, text);
    if (text !== '') this.#context.printError(`-- ${harmless(text)}\n`);
  }
}

function portOf(record: Row): string {
  return (record['port'] as Named).id;
}

function packetText(record: Row): string {
  const flags = record['tcp_flags'] as readonly string[] | null;
  const icmp = record['icmp_type'];
  return [
    timeText(record['at']),
    `${nameOf(record['port'] as Named)} ${record['sent'] === true ? 'sends' : 'is given'}`,
    protocolText(record['protocol']),
    `${endText(record['source'], record['source_port'])} > ${endText(record['destination'], record['destination_port'])}`,
    ...(flags === null ? [] : [`[${flags.join(',')}]`]),
    ...(icmp === null ? [] : [`type ${String(icmp)}`]),
    `${String(record['bytes'])} bytes`,
  ].join(' ');
}

function decidedText(flow: Row | null): string {
  if (flow === null) return 'of no connection that is known: it was refused, or the port’s groups are stateless';
  const parts = [
    ...ruleText(flow),
    ...becomesText(flow['becomes'] as Row | null),
    ...(flow['load_balanced'] === true ? ['by a load balancer'] : []),
    ...(typeof flow['peer_host'] === 'string' ? [`by the tunnel to ${flow['peer_host']}`] : []),
    ...(flow['peer'] === null ? [] : [`peer ${nameOf(flow['peer'] as Named)}`]),
    String(flow['state']),
  ];
  return `as its connection was decided: ${parts.join(', ')}`;
}
