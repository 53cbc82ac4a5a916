/**
 * npm run bench:api [-- --seconds N --rounds N --only ports|lists --quick --svg FILE --json]
 *
 * The same load on Cable (etcd, each answer durable) and on Debian's neutron-server (ML2, MariaDB that waits for the disk, as many workers as it takes by default), in one
 * run, with tokens of one real Keystone. In each round both are asked one after the other, so that what drifts meets both.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKeystone } from '../test/openstack/keystone.ts';
import { startCableCloud } from './api/cable-cloud.ts';
import { type Case, CREATE_P99, checkCloud, type Extent, listCases, portCases } from './api/cases.ts';
import type { Cloud } from './api/cloud.ts';
import { startNeutronCloud } from './api/neutron-cloud.ts';
import { HELP, type Options, readOptions, type Section } from './api/options.ts';
import { drawRatios } from './api/picture.ts';
import { formatRows, type Round, type Row, rowOf } from './api/report.ts';
import { type Clients, startClients } from './control/clients.ts';
import { formatEnvironment, readEnvironment } from './control/environment.ts';
import { interruption, runInterruptibly } from './lib/interruption.ts';
import { say } from './lib/say.ts';

type Measuring = {
  readonly clients: Clients;
  readonly cable: Cloud;
  readonly neutron: Cloud;
  readonly extent: Extent;
  readonly sections: readonly Section[];
};

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  const environment = readEnvironment();
  const rows = await measureBoth(options);
  if (options.svg !== undefined) writeFileSync(options.svg, drawRatios(rows));
  if (options.json) process.stdout.write(`${JSON.stringify({ environment, rows }, null, 2)}\n`);
  else process.stdout.write(`${formatEnvironment(environment)}\n${formatRows(rows)}\n`);
}

async function measureBoth({ extent, sections }: Options): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), `cable-bench-api-${process.pid}-`));
  // What has been started, newest last.
  const started: (() => Promise<void>)[] = [];
  try {
    say('starting Keystone, Cable and neutron-server');
    const keystone = await startKeystone(directory);
    started.push(() => keystone.close());
    const cable = await startCableCloud(directory, keystone);
    started.push(cable.close);
    const neutron = await startNeutronCloud(directory, keystone);
    started.push(neutron.close);
    const clients = startClients(interruption);
    started.push(() => clients.close());
    return await measure({ clients, cable: cable.cloud, neutron: neutron.cloud, extent, sections });
  } finally {
    for (const close of started.reverse()) await close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(measuring: Measuring): Promise<readonly Row[]> {
  const { clients, cable, neutron, extent, sections } = measuring;
  const lists: Row[] = [];
  const standing: { cable: string[]; neutron: string[] } = { cable: [], neutron: [] };
  for (const size of extent.sizes) {
    say(`${size} ports`);
    for (const cloud of [cable, neutron]) {
      const ids = standing[cloud.name];
      ids.push(...(await cloud.fill(size - ids.length, ids.length)));
      await checkCloud(cloud, ids[0] ?? '', size);
    }
    const isLargest = size === Math.max(...extent.sizes);
    if (!sections.includes('lists')) continue;
    const casesOf = (cloud: Cloud): readonly Case[] => listCases(clients, cloud, size, isLargest);
    lists.push(...(await measureCases(measuring, { cable: casesOf(cable), neutron: casesOf(neutron) })));
  }
  if (!sections.includes('ports')) return lists;
  const one = {
    cable: portCases(clients, cable, standing.cable),
    neutron: portCases(clients, neutron, standing.neutron),
  };
  return [...(await measureCases(measuring, one)), ...lists];
}

type Both = { readonly cable: readonly Case[]; readonly neutron: readonly Case[] };

async function measureCases({ extent }: Measuring, both: Both): Promise<readonly Row[]> {
  const { levels, rounds, seconds, warmUpSeconds } = extent;
  const pairs = both.cable.map((cable) => {
    const neutron = both.neutron.find(({ what }) => what === cable.what);
    if (neutron === undefined) throw new Error(`only one is asked for ${cable.what}`);
    return { cable, neutron };
  });
  const measured = pairs.flatMap((pair) => levels.map((clients) => ({ ...pair, clients, rounds: [] as Round[] })));
  for (const { cable, neutron } of pairs) {
    say(`warming up: ${cable.what}`);
    for (const { ask, warmUpClients } of [cable, neutron])
      await ask({ clients: warmUpClients, seconds: warmUpSeconds });
  }
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    for (const { cable, neutron, clients, rounds: done } of measured) {
      const sending = { clients, seconds };
      done.push({ cable: await cable.ask(sending), neutron: await neutron.ask(sending) });
    }
  }
  return measured.map(({ cable: { what, goal }, clients, rounds: done }) =>
    rowOf({ what, goal, clients }, done, CREATE_P99),
  );
}

await runInterruptibly(main);
