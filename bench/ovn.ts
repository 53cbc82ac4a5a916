/** What it takes `cable ovn` to have a database as it is to be: from nothing, after a restart, and for one port. `-- --ports N`; without hosts, so without what OVN itself does of it. */
import { parseArgs } from 'node:util';
import {
  aNetwork,
  aPort,
  aSecurityGroup,
  aSubnet,
  SCHEMAS,
  startOvsdbServer,
  type TestServer,
  ToldBackEnd,
} from '@cable/ovn/testing';

const { values } = parseArgs({ options: { ports: { type: 'string', default: '1000' }, json: { type: 'boolean' } } });
const count = Number(values.ports);

const northbound = await startOvsdbServer({ schema: SCHEMAS.northbound });
const southbound = await startOvsdbServer({ schema: SCHEMAS.southbound });
const backEnd = new ToldBackEnd(northbound, southbound);
try {
  const rows = await measure(northbound);
  if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`);
  else
    for (const { what, ms, transactions } of rows)
      process.stdout.write(
        `${what.padEnd(70)} ${ms.toFixed(0).padStart(7)} ms ${String(transactions).padStart(5)} transactions\n`,
      );
} finally {
  await backEnd.close();
  await northbound.close();
  await southbound.close();
}

type Row = { readonly what: string; readonly ms: number; readonly transactions: number };

async function measure(server: TestServer): Promise<readonly Row[]> {
  const rows: Row[] = [];
  await backEnd.start();
  await backEnd.sync();
  rows.push(await timed(`${count} ports, each told by a request, to an empty database`, tellAll));
  rows.push(await timed('one port more', () => backEnd.put('port', aPort(count + 1))));
  await backEnd.kill();
  await backEnd.start();
  rows.push(await timed('a restart, all as it was', () => backEnd.sync()));
  await backEnd.kill();
  const tenth = Math.floor(count / 10);
  const words = Array.from({ length: tenth }, (_, i) => ['--', 'lsp-del', String(aPort(i + 1).id)]).flat();
  server.ctl(...words.slice(1));
  await backEnd.start();
  rows.push(await timed(`a restart, ${tenth} ports deleted meanwhile by somebody`, () => backEnd.sync()));
  return rows;
}

async function tellAll(): Promise<void> {
  const group = aSecurityGroup(1);
  for (const [resource, object] of [
    ['network', aNetwork(1)],
    ['subnet', aSubnet(1)],
    ['security_group', group],
  ] as const)
    await backEnd.put(resource, object);
  const ports = Array.from({ length: count }, (_, i) => aPort(i + 1));
  await Promise.all(ports.map((port) => backEnd.put('port', port)));
}

async function timed(what: string, work: () => Promise<void>): Promise<Row> {
  const { transactions: before } = await health();
  const began = performance.now();
  await work();
  await backEnd.settled(600);
  const ms = performance.now() - began;
  return { what, ms, transactions: (await health()).transactions - before };
}

async function health(): Promise<{ readonly transactions: number }> {
  return (await backEnd.ask('health')).body as { readonly transactions: number };
}
