/** `cable flows PORT --follow`: what a port's flows do, as it happens. */
import { ApiError } from '@cable/api';
import { sleep, TransportError } from '@cable/kit';
import type { CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { ask, endText, type Named, nameOf, PROTOCOL } from './fault-text.ts';
import { harmless, type Row } from './render.ts';

/** Between two questions. */
const FOLLOW_MS = 1000;
/** What passes: a host, a server or a port that is away, or moves. */
const PASSING: readonly number[] = [409, 429, 502, 503, 504];

/** What the server says of what came since the marker. */
export type Followed = {
  readonly marker: string;
  readonly begun_anew: boolean;
  readonly missing: number;
  readonly records: readonly Row[];
};

/** Until Ctrl-C. Throws what keeps the first question from being answered, and what will not pass. */
export async function followFlows(
  context: CliContext,
  port: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  for (const name of ['state', 'all'])
    if (options[name] !== undefined) throw new CliError(2, `--${name} is not for --follow`);
  const { protocol, address, port: number } = options;
  const askNext = async (more: Row): Promise<Followed> =>
    (await ask(context.client(), port, 'follow', { ...more, protocol, address, port: number })) as Followed;
  await follow(context, {
    what: 'records',
    next: async (marker) => {
      const answer = await askNext({ marker });
      for (const record of answer.records)
        context.print(context.json ? `${JSON.stringify(record)}\n` : recordText(record));
      return answer;
    },
    last: (marker) => askNext({ marker, end: true }),
  });
}

export type FollowSteps = {
  /** Of what there may be too much, as in `5 records are missing`. */
  readonly what: string;
  /** `more`: there is more already; `isEnd`: nothing more is wanted. */
  readonly next: (
    marker: string | undefined,
  ) => Promise<
    Pick<Followed, 'marker' | 'begun_anew' | 'missing'> & { readonly more?: boolean; readonly isEnd?: boolean }
  >;
  /** Asks for the last time, so that the host need not wait whether more is asked. */
  readonly last: (marker: string) => Promise<unknown>;
  /** Ends it, as Ctrl-C does. */
  readonly signal?: AbortSignal;
};

const STOPS = ['SIGINT', 'SIGTERM'] as const;

/** Asks again and again, with the marker of the answer before; says on standard error what is missing. */
export async function follow(context: CliContext, { what, next, last, signal }: FollowSteps): Promise<void> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  for (const name of STOPS) process.once(name, end);
  const ended = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const say = (text: string): void => context.printError(`-- ${text}\n`);
  let marker: string | undefined;
  let isAway = false;
  try {
    while (!ended.aborted) {
      try {
        const answer = await next(marker);
        if (answer.begun_anew) say('begun anew: what came before is not known');
        if (answer.missing > 0) say(`${answer.missing} ${what} are missing`);
        ({ marker } = answer);
        if (answer.isEnd === true) break;
        isAway = false;
        if (answer.more === true) continue;
      } catch (err) {
        if (marker === undefined || !(err instanceof Error) || !passes(err)) throw err;
        if (!isAway) say(`${err.message}: asked again`);
        isAway = true;
      }
      await sleep(FOLLOW_MS, ended);
    }
    // Where that is not heard the host finds it out by itself.
    if (marker !== undefined && !isAway) await last(marker).catch(() => undefined);
  } finally {
    for (const name of STOPS) process.off(name, end);
  }
}

function passes(err: Error): boolean {
  return err instanceof ApiError ? PASSING.includes(err.status) : err instanceof TransportError && err.retryable;
}

/** One line; of a drop a second one with what to do. `port`: whose it is, where there are several. */
export function recordText(record: Row, port?: string): string {
  const ends = `${endText(record['source'], record['source_port'])} > ${endText(record['destination'], record['destination_port'])}`;
  const parts = [
    timeText(record['at']),
    ...(port === undefined ? [] : [port]),
    String(record['kind']).padEnd(5),
    record['begun_here'] === true ? 'out' : 'in ',
    `${protocolText(record['protocol'])} ${ends}`,
    ...becomesText(record['becomes'] as Row | null),
    ...nonEmpty('peer', nameOf(record['peer'] as Named | null)),
  ];
  const remedy = record['remedy'] ? [`    remedy: ${String(record['remedy'])}`] : [];
  return [[...parts, ...outcome(record)].join(' '), ...remedy].map((line) => `${harmless(line)}\n`).join('');
}

export function protocolText(protocol: unknown): string {
  return PROTOCOL[Number(protocol)] ?? `protocol ${String(protocol)}`;
}

/** The time of the day, of this machine. */
export function timeText(at: unknown): string {
  const date = new Date(String(at));
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${day}.${/\.(\d+)Z$/.exec(String(at))?.[1] ?? '0'}`;
}

export function becomesText(becomes: Row | null | undefined): readonly string[] {
  if (becomes === null || becomes === undefined) return [];
  const destination = becomes['destination'] === null ? 'an address of another project' : becomes['destination'];
  const to = endText(destination, becomes['destination_port']);
  return [`(becomes ${endText(becomes['source'], becomes['source_port'])} > ${to})`];
}

function outcome(record: Row): readonly string[] {
  switch (record['kind']) {
    case 'drop':
      return [`${String(record['reason'])} (${String(record['meaning'])})`];
    case 'end': {
      const counted = `${record['packets']} packets ${record['bytes']} bytes, back ${record['reply_packets']} packets ${record['reply_bytes']} bytes`;
      return [counted, ...(record['ended'] === null ? [] : [`(${String(record['ended'])})`])];
    }
    default:
      return ruleText(record);
  }
}

/** The rule that allowed it, as far as it is known. */
export function ruleText(record: Row): readonly string[] {
  if (record['rule'] === null) return [];
  return [
    ['rule', String(record['rule']), ...nonEmpty('of', nameOf(record['security_group'] as Named | null))].join(' '),
  ];
}

function nonEmpty(word: string, text: string): readonly string[] {
  return text === '' ? [] : [`${word} ${text}`];
}
