/** A stock neutron-server in one process and Cable, asked the same requests and compared answer by answer. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startCableAlone } from './cable.ts';
import { type Asked, type Move, movesOf, type Script, type Subject, selectionOf } from './compare-cases.ts';
import { DIFFERENCES } from './compare-differences.ts';
import { startNeutronAlone } from './neutron-alone.ts';
import { compareOut, type Names, settle } from './session-answers.ts';
import type { Difference } from './session-differences.ts';
import type { UserName } from './session-script.ts';
import { type Ask, sweep } from './session-sweep.ts';

/** Both servers. */
type Pair = {
  readonly urls: Readonly<Record<Kind, string>>;
  close(): Promise<void>;
};

/** How one request was answered by both. */
export type Told = {
  /** `ports admin: POST /ports {"port":{}}`. */
  readonly request: string;
  readonly stock: Reply;
  readonly cable: Reply;
  /** Those that no reason explains. */
  readonly differences: readonly string[];
  /** What explains the others. */
  readonly reasons: readonly Difference[];
};

/** An answer without what a server chooses. `type`: of the error. */
export type Reply = {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  readonly body: unknown;
};

const KINDS = ['stock', 'cable'] as const;
type Kind = (typeof KINDS)[number];

/** Who asks, in the words of a token's validation. */
const CALLERS: Readonly<Record<UserName, Readonly<Record<string, string>>>> = {
  admin: { 'x-user-id': 'admin', 'x-project-id': 'admin', 'x-roles': 'admin,member,reader' },
  member: { 'x-user-id': 'member', 'x-project-id': 'alpha', 'x-roles': 'member,reader' },
  reader: { 'x-user-id': 'reader', 'x-project-id': 'alpha', 'x-roles': 'reader' },
  other: { 'x-user-id': 'other', 'x-project-id': 'beta', 'x-roles': 'member,reader' },
};

/** Starts both with their files below `directory`, which the caller removes. */
async function startPair(directory: string): Promise<Pair> {
  for (const kind of KINDS) mkdirSync(join(directory, kind), { recursive: true });
  const stock = await startNeutronAlone(join(directory, 'stock'));
  // The same ranges, so that both have the same numbers to give.
  const ranges = ['--vni-range', '1:2000', '--vlan-range', 'physnet1:1:4000'];
  const cable = await startCableAlone(join(directory, 'cable'), ranges).catch(async (err: unknown) => {
    await stock.close();
    throw err;
  });
  const close = async (): Promise<void> => {
    await cable.close();
    await stock.close();
  };
  return { urls: { stock: stock.url, cable: cable.url }, close };
}

/** What is asked. `every`: of what no other request needs each so-and-so-many-th; default: all. */
type Choice = {
  readonly subjects: readonly (Subject | Script)[];
  readonly pairs: number;
  readonly every?: number;
};

/**
 * Asks everything of each subject, on clouds that are empty before; `tell` gets each request as soon as both have answered. Each pair has its files below
 * `directory`; there are as many as `pairs`, for a server of Neutron has one core.
 */
export async function compareAll(
  directory: string,
  { subjects, pairs, every = 1 }: Choice,
  tell: (told: Told) => void,
): Promise<void> {
  const waiting = [...subjects];
  const work = async (home: string): Promise<void> => {
    const pair = await startPair(home);
    try {
      for (let subject = waiting.shift(); subject !== undefined; subject = waiting.shift())
        await compareOne(pair, subject, every, tell);
    } finally {
      waiting.length = 0;
      await pair.close();
    }
  };
  await Promise.all(Array.from({ length: pairs }, (_, index) => work(join(directory, `${index}`))));
}

async function compareOne(
  pair: Pair,
  subject: Subject | Script,
  every: number,
  tell: (told: Told) => void,
): Promise<void> {
  for (const kind of KINDS) await sweep(askOf(pair.urls[kind]));
  const moves = selectionOf(movesOf(subject), every);
  const given = JSON.stringify(moves, (key, value: unknown) => (key === 'allocation_pools' ? undefined : value));
  const sides = { stock: sideOf(pair.urls.stock, given), cable: sideOf(pair.urls.cable, given) };
  for (const [index, move] of moves.entries())
    await make(move, { name: subject.name, place: `${subject.name}:${index + 1}`, sides, tell });
}

/** Reasons that explained nothing: what they are about is no longer so, or no request meets it. */
export function staleReasons(all: readonly Told[]): readonly Difference[] {
  const used = new Set(all.flatMap(({ reasons }) => reasons));
  return DIFFERENCES.filter((difference) => difference.isChance !== true && !used.has(difference));
}

/** What failed, for a reader: the request, each difference, and what both say of it. */
export function showTold({ request, differences, stock, cable }: Told): string {
  const lines = differences.map((difference) => `    ${difference}\n`);
  const said = [stock, cable].map(({ message }) => (message === '' ? '' : `    | ${message}\n`));
  return [`${request}\n`, ...lines, ...said].join('');
}

type Run = {
  readonly name: string;
  /** Of the move, after which IDs are named that nobody has seen yet. */
  readonly place: string;
  readonly sides: Readonly<Record<Kind, Side>>;
  readonly tell: (told: Told) => void;
};

async function make({ asked, drop, remake }: Move, run: Run): Promise<void> {
  const told = await ask(asked, run);
  const took = KINDS.filter((kind) => isSuccess(told[kind]));
  if (drop === undefined || took.length === 0) return;
  if (remake === undefined) {
    if (took.length === 2) await ask(drop, run);
    else for (const kind of took) await run.sides[kind].ask(drop, run.place);
  } else if (took.length === 1 || told.differences.length > 0) {
    await ask(drop, run);
    await ask(remake, run);
  }
}

/** Asks both, who do not wait for each other. */
async function ask(asked: Asked, { name, place, sides, tell }: Run): Promise<Told> {
  const body = asked.body === undefined ? '' : JSON.stringify(asked.body);
  const request = `${name} ${asked.as ?? 'admin'}: ${asked.do} ${body}`.trim();
  const [stock, cable] = await Promise.all([sides.stock.ask(asked, place), sides.cable.ask(asked, place)]);
  const found = differencesOf(stock, cable).map((text) => ({ text, reason: reasonOf(request, text) }));
  const told: Told = {
    ...{ request, stock, cable },
    differences: found.flatMap(({ text, reason }) => (reason === undefined ? [text] : [])),
    reasons: found.flatMap(({ reason }) => (reason === undefined ? [] : [reason])),
  };
  tell(told);
  return told;
}

function isSuccess({ status }: Reply): boolean {
  return status >= 200 && status < 300;
}

function differencesOf(stock: Reply, cable: Reply): readonly string[] {
  const [one, other] = [stock, cable].map(({ status, type }) => `${status} ${type}`.trim());
  if (one !== other) return [`answer: ${one} -> ${other}`];
  return compareOut(stock.body, cable.body);
}

function reasonOf(request: string, difference: string): Difference | undefined {
  return DIFFERENCES.find((one) => one.of.test(request) && one.is.test(difference));
}

/** One of the two servers, and what its IDs are called. */
type Side = {
  ask(asked: Asked, place: string): Promise<Reply>;
};

/** `given`: all that is asked but the pools that servers choose from; an address of a port that is not in it was chosen by the server. */
function sideOf(url: string, given: string): Side {
  const names: Names = new Map();
  const kept = new Map<string, string>();
  const fill = (text: string): string => text.replace(/\$(\w+)/g, (_, name: string) => kept.get(name) ?? `no-${name}`);
  const send: Side['ask'] = async ({ as = 'admin', do: what, body, keep }, place) => {
    const [method = '', path = ''] = what.split(' ');
    const json = body === undefined ? {} : { body: fill(JSON.stringify(body)) };
    const answer = await fetch(`${url}/v2.0${fill(path)}`, {
      ...{ method, signal: AbortSignal.timeout(60_000) },
      headers: { ...CALLERS[as], 'content-type': 'application/json' },
      ...json,
    });
    const text = await answer.text();
    if (keep !== undefined) {
      const id = answer.ok ? idIn(text) : undefined;
      if (id === undefined) kept.delete(keep);
      else kept.set(keep, id);
    }
    return replyOf(answer, text, place);
  };
  const replyOf = ({ status, ok }: Response, text: string, place: string): Reply => {
    const fault = ok ? { type: '', message: '' } : faultIn(text);
    const out = ok ? withoutChosen(text, given) : '';
    const settled = settle({ code: status, out, err: fault.message }, names, place);
    return { status, type: fault.type, message: settled.err, body: settled.out };
  };
  return { ask: send };
}

/** What a port or floating IP was given, or is called after it. */
const CHOSEN = /"(ip_address|floating_ip_address|fixed_ip_address|hostname|fqdn)": ?"([^"]+)"/g;

function withoutChosen(text: string, given: string): string {
  return text.replace(CHOSEN, (all, key: string, value: string) =>
    given.includes(value) ? all : `"${key}":"<chosen>"`,
  );
}

/** Of an answer that shows one object. */
function idIn(text: string): string | undefined {
  return /"id": ?"([^"]+)"/.exec(text)?.[1];
}

function faultIn(text: string): { readonly type: string; readonly message: string } {
  try {
    const { NeutronError: fault } = JSON.parse(text) as { NeutronError?: { type?: string; message?: string } };
    return { type: fault?.type ?? 'of no type', message: fault?.message ?? text };
  } catch {
    return { type: 'of no type', message: text };
  }
}

function askOf(url: string): Ask {
  return async (method, path, body) => {
    const headers = { ...CALLERS.admin, 'content-type': 'application/json' };
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`${url}/v2.0${path}`, { method, headers, ...json });
    const text = await answer.text();
    return answer.ok && text !== '' ? (JSON.parse(text) as Record<string, unknown>) : undefined;
  };
}
