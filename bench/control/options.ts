import { parseArgs } from 'node:util';
import { STORES, type StoreKind } from './bed.ts';
import type { Extent } from './context.ts';

/** What is measured on a server alone, in this order. */
export const SECTIONS = ['create', 'bulk', 'change', 'list', 'overload'] as const;

export type Section = (typeof SECTIONS)[number];

/** What needs hosts with agents; it is measured only when it is asked for. */
export const HOSTS = 'hosts';

export type Options = {
  readonly stores: readonly StoreKind[];
  readonly sections: readonly (Section | typeof HOSTS)[];
  readonly extent: Extent;
  readonly json: boolean;
};

/** What `--help` says. */
export const HELP: string = `usage: npm run bench:control -- [options]
  --store NAME    lmdb, etcd or both (default: both)
  --only NAME     ${SECTIONS.join(', ')}, or ${HOSTS} (with agents, which is not part of the whole); may be repeated
  --seconds N     how long a round lasts (default 1)
  --quick         a little of everything, in less than a minute: whether it runs, not how fast it is
  --json          one JSON document in place of the tables`;

const WHOLE: Extent = {
  seconds: 1,
  rounds: 3,
  warmUpRequests: 8000,
  levels: [1, 8, 32, 64],
  // More than 8 clients with a thousand each are an overload, not a load.
  bulks: [
    { ports: 100, levels: [1, 8, 32, 64] },
    { ports: 1000, levels: [1, 8] },
  ],
  sizes: [10_000, 50_000],
  portsPerNetwork: 1000,
  standingPorts: 2000,
  overloadClients: 256,
};

const QUICK: Extent = {
  seconds: 0.1,
  rounds: 1,
  warmUpRequests: 100,
  levels: [1, 8, 32],
  bulks: [{ ports: 100, levels: [2] }],
  sizes: [250, 500],
  portsPerNetwork: 250,
  standingPorts: 250,
  overloadClients: 256,
};

/** Parses the command line; undefined: help was asked for. Throws for what it does not know. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      store: { type: 'string', default: 'both' },
      only: { type: 'string', multiple: true, default: [] },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const extent = values.quick ? QUICK : WHOLE;
  return {
    stores: storesOf(values.store),
    sections: values.only.length === 0 ? SECTIONS : values.only.map(sectionOf),
    extent: values.seconds === undefined ? extent : { ...extent, seconds: secondsOf(values.seconds) },
    json: values.json,
  };
}

function storesOf(text: string): readonly StoreKind[] {
  if (text === 'both') return STORES;
  const found = STORES.find((store) => store === text);
  if (found === undefined) throw new Error(`--store must be lmdb, etcd or both, not ${text}`);
  return [found];
}

function sectionOf(text: string): Section | typeof HOSTS {
  const found = [...SECTIONS, HOSTS].find((section) => section === text);
  if (found === undefined) throw new Error(`--only: there is no ${text}; there are ${[...SECTIONS, HOSTS].join(', ')}`);
  return found as Section | typeof HOSTS;
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 600) return seconds;
  throw new Error('--seconds must be a number above 0, at most 600');
}
