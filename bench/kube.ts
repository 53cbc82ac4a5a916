/**
 * What pods cost on a node of Kubernetes: ADD and DEL of `cable-cni` in both of its modes beside the reference plug-ins `bridge` and `host-local`, as a container runtime calls
 * them, and how soon a changed network policy is in force. A table each; ratios are taken within a round.
 */
import { formatEnvironment, readEnvironment } from './control/environment.ts';
import { measureCalls } from './kube/cni-calls.ts';
import { HELP, readOptions } from './kube/options.ts';
import { measurePolicies, policiesTable } from './kube/policies.ts';
import { rowsOf, tableOf } from './kube/report.ts';
import { buildCable } from './lib/cable.ts';
import { runInterruptibly } from './lib/interruption.ts';
import { say } from './lib/say.ts';

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  const environment = readEnvironment();
  const bed = await buildCable({ store: options.store, say });
  try {
    const rows = options.only === 'policies' ? undefined : rowsOf(await measureCalls(bed, options, say));
    const policies = options.only === 'cni' ? undefined : await measurePolicies(bed, options, say);
    const tables = [
      ...(rows === undefined ? [] : [tableOf(rows)]),
      ...(policies === undefined ? [] : [policiesTable(policies)]),
    ];
    const json = (): string => JSON.stringify({ environment, options, rows, policies }, null, 2);
    process.stdout.write(`${options.json ? json() : [formatEnvironment(environment), ...tables].join('\n')}\n`);
  } finally {
    await bed.close();
  }
}

await runInterruptibly(main);
