import { parseArgs } from 'node:util';
import type { Extent } from './cases.ts';

export type Options = {
  readonly extent: Extent;
  readonly sections: readonly Section[];
  /** Where the picture goes; undefined: none is drawn. */
  readonly svg: string | undefined;
  readonly json: boolean;
};

/** What is measured, in this order. */
export const SECTIONS = ['ports', 'lists'] as const;

export type Section = (typeof SECTIONS)[number];

/** What `--help` says. */
export const HELP: string = `usage: npm run bench:api -- [options]
  --seconds N     how long a round of a case lasts (default 2)
  --rounds N      how many rounds (default 3)
  --only NAME     ports (create, update, bind, show, delete) or lists
  --quick         a little of everything, in some three minutes: whether it runs, not how fast it is
  --svg FILE      draw the ratios
  --json          one JSON document in place of the table`;

const WHOLE: Extent = { seconds: 2, rounds: 3, warmUpSeconds: 4, levels: [1, 8, 32], sizes: [1000, 10_000] };
const QUICK: Extent = { seconds: 0.2, rounds: 1, warmUpSeconds: 0.2, levels: [1, 8], sizes: [100, 300] };

/** Parses the command line; undefined: help was asked for. Throws for what it does not know. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      svg: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const extent = values.quick ? QUICK : WHOLE;
  return {
    extent: {
      ...extent,
      ...(values.seconds === undefined ? {} : { seconds: numberOf('--seconds', values.seconds, 600) }),
      ...(values.rounds === undefined ? {} : { rounds: Math.ceil(numberOf('--rounds', values.rounds, 100)) }),
    },
    sections: values.only === undefined ? SECTIONS : [sectionOf(values.only)],
    svg: values.svg,
    json: values.json,
  };
}

function sectionOf(text: string): Section {
  const found = SECTIONS.find((section) => section === text);
  if (found === undefined) throw new Error(`--only must be ${SECTIONS.join(' or ')}, not ${text}`);
  return found;
}

function numberOf(name: string, text: string, most: number): number {
  const value = Number(text);
  if (value > 0 && value <= most) return value;
  throw new Error(`${name} must be a number above 0, at most ${most}`);
}
