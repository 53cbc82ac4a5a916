/** `cable drops|flows|trace|why PORT`: what becomes of a port's packets, as its host knows it. */
import { sleep } from '@cable/kit';
import { isUuid } from '@cable/model';
import type { Command } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { ask, endText, findNetwork, findPort, type Named, nameOf, PROTOCOL } from './fault-text.ts';
import { followFlows } from './follow.ts';
import { showLive } from './live.ts';
import { harmlessLines, type Row, renderJson, renderTable } from './render.ts';

type Options = Readonly<Record<string, unknown>>;

/** Ports that are asked about at once: a host that says nothing for 10 s must not hold up all others, nor may one be asked more than 32 things. */
const ASKED_AT_ONCE = 16;

/** Between two answers of `--watch`. */
const WATCH_MS = 2000;

export function addFaultCommands(root: Command, bind: Bind): void {
  root
    .command('drops')
    .argument('[port...]', 'names or IDs; without them: all ports of the project that have drops')
    .description('Shows what was dropped of ports’ packets, why, and what to do about it.')
    .option('--watch', 'show what is added, every two seconds, until Ctrl-C')
    .action(bind(showDrops));
  const flows = root.command('flows').argument('<port>', 'name or ID').description('Shows the connections of a port.');
  flows
    .option('--protocol <name>', 'only tcp, udp, icmp, icmpv6, sctp, gre, or a number')
    .option('--address <ip>', 'only those with this address at either end')
    .option('--port <number>', 'only those with this port at either end')
    .option('--state <state>', 'only new, established, closing, closed or picked-up')
    .option('--limit <number>', 'at most so many (1 to 500)', '100')
    .option('--all', 'every page, one after the other')
    .option('--follow', 'show what begins, ends and is dropped from now on, until Ctrl-C')
    .action(bind(showFlows));
  const trace = root
    .command('trace')
    .description('Shows the way of a packet and of its answer, as the hosts decide it; no packet is sent.')
    .option('--from <port>', 'the sender, by name or ID: of a VM, a pod or a physical machine')
    .option('--outside <network>', 'instead: a machine on the physical network of this one, with --source')
    .requiredOption('--to <address>', 'address of the receiver, a port’s name or ID, or a group of multicast')
    .option('--source <address>', 'source address; default: the sender’s own')
    .option('--via <address>', 'with --outside: whom the machine sends to; default: the receiver, or the router to it')
    .option('--live', 'show packets that really pass, some a second, and what is dropped of them, until Ctrl-C')
    .option('--count <number>', 'with --live: end after so many packets')
    .option('--rate <number>', 'with --live: so many packets a second (1 to 100; default 10)');
  packetOptions(trace).action(bind(showTrace));
  const why = root
    .command('why')
    .argument('<port>', 'name or ID')
    .argument('[other]', 'name or ID of a port that it cannot talk to')
    .description('Explains a port that is not ACTIVE, or two ports that cannot talk.');
  packetOptions(why).action(bind(showWhy));
}

const PACKET_OPTIONS: Readonly<Record<string, string>> = {
  proto: 'protocol',
  dport: 'dport',
  sport: 'sport',
  icmpType: 'icmp_type',
  icmpCode: 'icmp_code',
  bytes: 'bytes',
};

function packetOptions(command: Command): Command {
  return command
    .option('--proto <name>', 'tcp, udp, icmp, icmpv6, sctp, gre, or a number; default: a ping')
    .option('--dport <number>', 'destination port')
    .option('--sport <number>', 'source port; default 40000')
    .option('--icmp-type <number>', 'default: an echo request')
    .option('--icmp-code <number>', 'default 0')
    .option('--bytes <number>', 'size of the IP packet; default 84');
}

/** The options that say what the packet is, as the server's parameters. */
function packetQuery(options: Options): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(PACKET_OPTIONS).map(([option, name]) => [name, options[option]]));
}

// --- drops ---

type Drop = Row & { readonly reason: string; readonly packets: number };
type Drops = { readonly port: Named; readonly network: Named | null; readonly drops: readonly Drop[] };
async function showDrops(context: CliContext, options: Options, [given]: readonly unknown[]): Promise<void> {
  const named = given as readonly string[];
  const ports = await portsFor(context, named);
  if (options['watch'] === true) return watchDrops(context, ports);
  const { answers, failed } = await dropsOf(context, ports);
  if (context.json) return context.print(renderJson(named.length === 1 ? answers[0] : answers));
  const rows = answers.flatMap(dropRows);
  context.print(rows.length === 0 ? 'Nothing was dropped.\n' : renderTable(DROP_COLUMNS, rows));
  for (const text of failed) context.printError(`${harmlessLines(text)}\n`);
}

const DROP_COLUMNS = ['port', 'network', 'reason', 'packets', 'last', 'meaning', 'remedy'];

function dropRows({ port, network, drops }: Drops): readonly Row[] {
  return drops.map(({ reason, packets, last_seconds_ago: ago, meaning, remedy }) => ({
    port: nameOf(port),
    network: nameOf(network),
    reason,
    packets,
    last: ago === null ? '' : `${String(ago)} s ago`,
    meaning,
    remedy,
  }));
}

/** Those that are named, or else all that are bound; the others have no host that could be asked. */
async function portsFor(context: CliContext, named: readonly string[]): Promise<readonly string[]> {
  if (named.length > 0) return await Promise.all(named.map((one) => findPort(context, one)));
  const found = await context.client().list('port', { fields: ['id', 'device_owner', 'status'] });
  return found
    .filter(({ status }) => status === 'ACTIVE')
    .filter(({ device_owner: owner }) => !owner.startsWith('network:'))
    .map(({ id }) => id);
}

/** A port whose host does not answer must not hide the others: what is said of it comes beside. The only one asked for fails. */
async function dropsOf(
  context: CliContext,
  ports: readonly string[],
): Promise<{ readonly answers: readonly Drops[]; readonly failed: readonly string[] }> {
  const client = context.client();
  const said: (Drops | Error)[] = [];
  const rest = ports.entries();
  const askOneByOne = async (): Promise<void> => {
    for (const [place, port] of rest) {
      try {
        said[place] = (await ask(client, port, 'drops')) as Drops;
      } catch (err) {
        if (ports.length === 1 || !(err instanceof Error)) throw err;
        said[place] = err;
      }
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, askOneByOne));
  const answers = said.flatMap((one) => (one instanceof Error ? [] : [one]));
  const failed = said.flatMap((one, place) => (one instanceof Error ? [`port ${ports[place]}: ${one.message}`] : []));
  return { answers, failed };
}

async function watchDrops(context: CliContext, ports: readonly string[]): Promise<void> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once('SIGINT', end);
  let before: ReadonlyMap<string, number> | undefined;
  while (!stop.signal.aborted) {
    const { answers } = await dropsOf(context, ports);
    const now = new Map<string, number>();
    const added: Row[] = [];
    for (const answer of answers) {
      for (const [n, row] of dropRows(answer).entries()) {
        const { reason = '', packets = 0 } = answer.drops[n] ?? {};
        const key = `${answer.port.id} ${reason}`;
        now.set(key, packets);
        const more = packets - (before?.get(key) ?? 0);
        if (before !== undefined && more > 0) added.push({ ...row, packets: `+${more}` });
      }
    }
    if (added.length > 0) context.print(context.json ? renderJson(added) : renderTable(DROP_COLUMNS, added));
    before = now;
    await sleep(WATCH_MS, stop.signal);
  }
  process.off('SIGINT', end);
}

// --- flows ---

type Flows = { readonly flows: readonly Row[]; readonly total: number; readonly next_marker: number | null };

const FLOW_COLUMNS = [
  ...['direction', 'peer', 'network', 'protocol', 'source', 'destination', 'state', 'bytes', 'answer_bytes'],
  ...['age', 'expires', 'rule'],
];

async function showFlows(context: CliContext, options: Options, [given]: readonly unknown[]): Promise<void> {
  const port = await findPort(context, given);
  if (options['follow'] === true) return followFlows(context, port, options);
  const names = ['protocol', 'address', 'port', 'state', 'limit'];
  const query = Object.fromEntries(names.map((name) => [name, options[name]]));
  const pages: Flows[] = [];
  let marker: number | null | undefined;
  do {
    const page = (await ask(context.client(), port, 'flows', { ...query, marker })) as Flows;
    pages.push(page);
    marker = page.next_marker;
  } while (options['all'] === true && marker !== null);
  const flows = pages.flatMap((page) => page.flows);
  const [{ total } = { total: 0 }] = pages;
  if (context.json) return context.print(renderJson({ ...pages.at(-1), flows }));
  if (flows.length === 0) return context.print('There are no such connections.\n');
  context.print(renderTable(FLOW_COLUMNS, flows.map(flowRow)));
  if (flows.length < total) context.print(`${flows.length} of ${total}: --all shows the rest.\n`);
}

function flowRow(flow: Row): Row {
  const protocol = Number(flow['protocol']);
  const group = flow['security_group'] as Named | null;
  return {
    direction: flow['begun_here'] === true ? 'out' : 'in',
    peer: nameOf(flow['peer'] as Named | null),
    network: nameOf(flow['network'] as Named | null),
    protocol: PROTOCOL[protocol] ?? protocol,
    source: endText(flow['source'], flow['source_port']),
    destination: endText(flow['destination'], flow['destination_port']),
    state: flow['state'],
    bytes: flow['bytes'],
    answer_bytes: flow['reply_bytes'],
    age: `${String(flow['age_seconds'])} s`,
    expires: `${String(flow['expires_seconds'])} s`,
    rule: flow['rule'] === null ? '' : `${String(flow['rule'])} of ${nameOf(group)}`,
  };
}

// --- trace, why ---

type Trace = {
  readonly from: Named;
  readonly verdict: string;
  readonly packet: Row;
  readonly cause: (Row & { readonly way: string; readonly meaning: string; readonly remedy: string }) | null;
  readonly receiver: Named | null;
  readonly there: readonly Hop[];
  readonly back: readonly Hop[];
};
type Hop = { readonly host: string | null; readonly steps: readonly { readonly text: string }[] };

const VERDICT: Readonly<Record<string, string>> = {
  passes: 'It passes.',
  arrives: 'It arrives; what comes back is not known.',
  dropped: 'It is dropped.',
  refused: 'It is dropped, and the sender is told so.',
  unresolved: 'Nobody answers for the address.',
  unknown: 'It could not be followed to the end.',
};

async function showTrace(context: CliContext, options: Options): Promise<void> {
  const { from, outside, live, source, via } = options;
  if ((from === undefined) === (outside === undefined)) throw new CliError(2, 'give --from or --outside');
  if (outside !== undefined && live === true) throw new CliError(2, '--outside is not for --live');
  if (outside === undefined && via !== undefined) throw new CliError(2, '--via is for --outside');
  if (outside !== undefined && source === undefined) throw new CliError(2, '--outside: give --source, too');
  if (live !== true)
    for (const name of ['count', 'rate'])
      if (options[name] !== undefined) throw new CliError(2, `--${name} is for --live`);
  const sender = outside === undefined ? await findPort(context, from) : await findNetwork(context, outside);
  const to = await addressOf(context, String(options['to']));
  if (live === true) return showLive(context, { from: sender, to }, options);
  const query = { to, source, via, ...packetQuery(options) };
  const collection = outside === undefined ? 'ports' : 'networks';
  const trace = (await ask(context.client(), sender, 'trace', query, collection)) as Trace;
  context.print(context.json ? renderJson(trace) : traceText(trace));
}

/** An address, or the first of the port that is so called. */
async function addressOf(context: CliContext, text: string): Promise<string> {
  if (/^[\d.]+$/.test(text) || (text.includes(':') && !isUuid(text))) return text;
  const id = await findPort(context, text);
  const { fixed_ips: ips } = await context.client().get('port', id);
  const [first] = ips;
  if (first === undefined) throw new CliError(1, `--to: port '${text}' has no address`);
  return first.ip_address;
}

function traceText(trace: Trace): string {
  const { packet } = trace;
  const protocol = PROTOCOL[Number(packet['protocol'])] ?? String(packet['protocol']);
  const head = `${protocol} from ${endText(packet['source'], packet['source_port'])} to ${endText(packet['destination'], packet['destination_port'])}`;
  return [
    head,
    ...wayLines('there', trace.there),
    ...wayLines('back', trace.back),
    VERDICT[trace.verdict] ?? trace.verdict,
    ...(trace.cause === null ? [] : [`  cause:  ${trace.cause.meaning}`, `  remedy: ${trace.cause.remedy}`]),
    '',
  ].join('\n');
}

function wayLines(name: string, hops: readonly Hop[]): readonly string[] {
  return hops.flatMap(({ host, steps }, n) => [
    `${name}, ${host === null ? `host ${n + 1} of the way` : `host ${host}`}:`,
    ...steps.map(({ text }) => `  ${text}`),
  ]);
}

type Finding = { readonly text: string; readonly remedy: string };
type WhyPort = { readonly port: Named; readonly status: string; readonly findings: readonly Finding[] };
type WhyPair = {
  /** Absent of older servers. */
  readonly verdict?: string;
  readonly finding: Finding | null;
  readonly ways: readonly Trace[];
  readonly ports: readonly WhyPort[];
};

async function showWhy(context: CliContext, options: Options, [given, other]: readonly unknown[]): Promise<void> {
  const port = await findPort(context, given);
  if (other === undefined || other === null) {
    const why = (await ask(context.client(), port, 'why')) as WhyPort;
    return context.print(context.json ? renderJson(why) : whyPortText(why));
  }
  const to = await findPort(context, other);
  const why = (await ask(context.client(), port, 'why', { to, ...packetQuery(options) })) as WhyPair;
  context.print(context.json ? renderJson(why) : whyPairText(why));
}

function whyPortText({ port, status, findings }: WhyPort): string {
  const head = `Port ${nameOf(port)} is ${status}.`;
  if (findings.length === 0) return `${head} Nothing is wrong with it.\n`;
  return `${[head, ...findings.flatMap(findingLines)].join('\n')}\n`;
}

function findingLines({ text, remedy }: Finding): readonly string[] {
  return [`- ${text}`, `  remedy: ${remedy}`];
}

function whyPairText({ finding, verdict, ways }: WhyPair): string {
  const what = verdict === 'unknown' ? 'It is not known whether they can talk:' : 'They cannot talk:';
  const head = finding === null ? ['They can talk, both ways.'] : [what, ...findingLines(finding)];
  return `${[...head, '', ...ways.map(traceText)].join('\n')}`;
}
