/**
 * npm run bench:control [-- --store lmdb|etcd|both --only NAME --seconds N --quick --json]
 *
 * How fast the control plane is, on each store: a real server process on LMDB, and one on a real etcd, asked by clients in a process of their own, with the peers in the
 * same run and the goals beside the figures. Sections: create, bulk, change (update, show, delete), list, overload; and hosts (request to programmed, with agents), when it is asked for.
 */
import { type StoreKind, startBed } from './control/bed.ts';
import { measureBulks } from './control/bulks.ts';
import { measureChanges } from './control/changes.ts';
import { startClients } from './control/clients.ts';
import type { Context } from './control/context.ts';
import { measureCreates } from './control/creates.ts';
import { formatEnvironment, readEnvironment } from './control/environment.ts';
import { formatHosts, type HostExtent, type HostRow, measureHosts } from './control/hosts.ts';
import { measureLists } from './control/lists.ts';
import { HELP, HOSTS, readOptions, type Section } from './control/options.ts';
import { measureOverload } from './control/overload.ts';
import { formatSection, type Measured } from './control/rows.ts';
import { interruption, runInterruptibly } from './lib/interruption.ts';
import { say } from './lib/say.ts';

const MEASURES: Readonly<Record<Section, (context: Context) => Promise<Measured>>> = {
  create: measureCreates,
  bulk: measureBulks,
  change: measureChanges,
  list: measureLists,
  overload: measureOverload,
};

const HOST_EXTENT: HostExtent = { changes: 200 };

const UNMEASURED =
  'Neutron with OVN is not measured here: it is not on this machine; the peers are the stores themselves, with the transactions of a port.';

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  const environment = readEnvironment();
  const measured = new Map<Section, Measured>();
  const hosts: HostRow[] = [];
  const clients = startClients(interruption);
  const other = startClients(interruption);
  try {
    for (const section of options.sections) {
      for (const store of options.stores) {
        if (section === HOSTS) hosts.push(...(await measureHosts(store, HOST_EXTENT, say)));
        else {
          const one = await measureSection(section, store, { clients, other, extent: options.extent });
          measured.set(section, joined(measured.get(section), one));
        }
      }
    }
  } finally {
    await clients.close();
    await other.close();
  }
  const all = [...measured.values()];
  const facts = [...all.flatMap((one) => one.facts), UNMEASURED];
  if (options.json) {
    const rows = all.flatMap((one) => one.rows);
    process.stdout.write(`${JSON.stringify({ environment, rows, hosts, facts }, null, 2)}\n`);
    return;
  }
  const tables = [...measured].map(([section, { rows }]) => `\n${section}\n${formatSection(rows)}`);
  if (hosts.length > 0) tables.push(`\n${HOSTS}\n${formatHosts(hosts)}`);
  process.stdout.write(`${[formatEnvironment(environment), ...tables, '', ...facts].join('\n')}\n`);
}

function joined(before: Measured | undefined, next: Measured): Measured {
  return { rows: [...(before?.rows ?? []), ...next.rows], facts: [...(before?.facts ?? []), ...next.facts] };
}

/** Each section on each store has a server of its own, which has made nothing before. */
async function measureSection(
  section: Section,
  store: StoreKind,
  using: Pick<Context, 'clients' | 'other' | 'extent'>,
): Promise<Measured> {
  const bed = await startBed(store, interruption);
  try {
    return await MEASURES[section]({ ...using, bed, signal: interruption, say });
  } finally {
    await bed.close();
  }
}

await runInterruptibly(main);
