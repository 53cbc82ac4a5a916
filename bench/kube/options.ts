import { parseArgs } from 'node:util';
import { STORES, type StoreKind } from '../control/bed.ts';

export type Options = {
  readonly store: StoreKind;
  /** Of each plug-in at each level, one after the other; figures are medians over them. */
  readonly rounds: number;
  /** ADDs, then as many DELs, in a round. */
  readonly calls: number;
  /** Calls at a time. */
  readonly levels: readonly number[];
  /** That stand on the host meanwhile, of each plug-in. */
  readonly pods: number;
  /** Pods of a cluster in which network policies change. */
  readonly policyPods: number;
  /** Undefined: all. */
  readonly only: Part | undefined;
  readonly json: boolean;
};

const PARTS = ['cni', 'policies'] as const;

/** What is measured. */
export type Part = (typeof PARTS)[number];

/** What `--help` says. */
export const HELP = `usage: npm run bench:kube -- [options]
  --store NAME    ${STORES.join(' or ')}, of the server (default: lmdb)
  --rounds N      default 5
  --calls N       ADDs and DELs of each plug-in in a round (default 48)
  --levels N,N    calls at a time (default 1,8)
  --pods N        pods that stand on the host meanwhile, of each plug-in (default 0; a Linux bridge takes 900)
  --policy-pods N pods of the cluster in which network policies change (default 1000)
  --only PART     ${PARTS.join(' or ')} (default: both)
  --json          one JSON document in place of the table`;

/** Parses the command line; undefined: help was asked for. Throws for what it does not know. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      store: { type: 'string', default: 'lmdb' },
      rounds: { type: 'string', default: '5' },
      calls: { type: 'string', default: '48' },
      levels: { type: 'string', default: '1,8' },
      pods: { type: 'string', default: '0' },
      'policy-pods': { type: 'string', default: '1000' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const store = STORES.find((one) => one === values.store);
  if (store === undefined) throw new Error(`--store must be ${STORES.join(' or ')}, not ${values.store}`);
  const only = PARTS.find((one) => one === values.only);
  if (values.only !== undefined && only === undefined)
    throw new Error(`--only must be ${PARTS.join(' or ')}, not ${values.only}`);
  return {
    store,
    rounds: number('rounds', values.rounds, 1),
    calls: number('calls', values.calls, 1),
    levels: values.levels.split(',').map((text) => number('levels', text, 1)),
    pods: number('pods', values.pods, 0),
    policyPods: number('policy-pods', values['policy-pods'], 2),
    only,
    json: values.json,
  };
}

function number(name: string, text: string, minimum: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= minimum) return value;
  throw new Error(`--${name} must be a whole number, at least ${minimum}`);
}
