import { parseArgs } from 'node:util';

/** How the benchmark was called. */
export type Options = {
  readonly rounds: number;
  readonly seconds: number;
  /** Of the larger of the two groups. */
  readonly rules: number;
  /** Of the crowded load balancer. */
  readonly services: number;
  /** On the other host of the crowded network. */
  readonly endpoints: number;
  /** Of the agents; undefined: their default. */
  readonly encapsulation: string | undefined;
  /** Only contestants whose name contains it, and whom they are compared with; undefined: all. */
  readonly only: string | undefined;
  /** Flows of the datagrams, besides one. */
  readonly flows: readonly number[];
  readonly json: boolean;
  readonly svg: string | undefined;
};

const HELP = `npm run bench:dataplane [-- OPTION ...]

  --rounds N              default 5; medians are of these
  --seconds S             of each load; default 2
  --rules N               of the larger security group; default 1000
  --services N            of the crowded load balancer; default 1000
  --endpoints N           on the other host of the crowded network; default 10000
  --flows N,N             how many flows the datagrams are of, besides one; default 100,10000
  --only TEXT             contestants whose name contains it, and their peers
  --encapsulation WHO     auto, own or kernel: of Cable's agents
  --svg FILE              draws the ratios
  --json                  one JSON document in place of the table
`;

/** Parses the arguments; prints help, or throws what is wrong. Undefined: help was asked for. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      rules: { type: 'string', default: '1000' },
      services: { type: 'string', default: '1000' },
      endpoints: { type: 'string', default: '10000' },
      flows: { type: 'string', default: '100,10000' },
      only: { type: 'string' },
      encapsulation: { type: 'string' },
      svg: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return undefined;
  }
  const { encapsulation, json, svg, only } = values;
  if (encapsulation !== undefined && !['auto', 'own', 'kernel'].includes(encapsulation)) {
    throw new Error('--encapsulation must be auto, own or kernel');
  }
  return {
    rounds: number('rounds', values.rounds, 1),
    seconds: number('seconds', values.seconds, 1),
    rules: number('rules', values.rules, 10),
    services: number('services', values.services, 2),
    endpoints: number('endpoints', values.endpoints, 1),
    flows: values.flows === '' ? [] : values.flows.split(',').map((text) => number('flows', text, 2)),
    ...{ encapsulation, json, svg, only },
  };
}

function number(name: string, text: string, minimum: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= minimum) return value;
  throw new Error(`--${name} must be a whole number, at least ${minimum}`);
}
