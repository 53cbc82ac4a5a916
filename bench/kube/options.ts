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
  /** How many Services there are, one count after the other; each at least the one before. */
  readonly services: readonly number[];
  /** Of the Deployment whose pods become Ready. */
  readonly readyPods: number;
  /** Of each load on a Service. */
  readonly seconds: number;
  /** Where the ratios of Services are drawn. */
  readonly svg: string | undefined;
  /** Undefined: all. */
  readonly only: Part | undefined;
  readonly json: boolean;
};

const PARTS = ['cni', 'policies', 'services', 'ready'] as const;

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
  --services N,N  how many Services there are, one count after the other (default 10,1000,10000)
  --ready-pods N  of the Deployment whose pods become Ready on a node of a real Kubernetes (default 30); needs CABLE_KUBE_BIN
  --seconds N     of each load on a Service (default 2)
  --svg FILE      draws the ratios of Services
  --only PART     ${PARTS.join(' or ')} (default: all)
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
      services: { type: 'string', default: '10,1000,10000' },
      'ready-pods': { type: 'string', default: '30' },
      seconds: { type: 'string', default: '2' },
      svg: { type: 'string' },
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
  const services = values.services.split(',').map((text) => number('services', text, 1));
  if (services.some((count, n) => count < (services[n - 1] ?? 0)))
    throw new Error('--services must be counts that grow, as Services are only added');
  return {
    store,
    rounds: number('rounds', values.rounds, 1),
    calls: number('calls', values.calls, 1),
    levels: values.levels.split(',').map((text) => number('levels', text, 1)),
    pods: number('pods', values.pods, 0),
    policyPods: number('policy-pods', values['policy-pods'], 2),
    services,
    readyPods: number('ready-pods', values['ready-pods'], 1),
    seconds: number('seconds', values.seconds, 1),
    svg: values.svg,
    only,
    json: values.json,
  };
}

function number(name: string, text: string, minimum: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= minimum) return value;
  throw new Error(`--${name} must be a whole number, at least ${minimum}`);
}
