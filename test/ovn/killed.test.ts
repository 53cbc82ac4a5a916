/** The process of `cable ovn` is killed, and the database too, while rows are written: in the end they are as they are to be. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
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

let northbound: TestServer;
let southbound: TestServer;
let backEnd: ToldBackEnd;

before(async () => {
  northbound = await startOvsdbServer({ schema: SCHEMAS.northbound });
  southbound = await startOvsdbServer({ schema: SCHEMAS.southbound });
  backEnd = new ToldBackEnd(northbound, southbound);
});
after(async () => {
  await backEnd?.close();
  await northbound?.close();
  await southbound?.close();
});

const PORTS = 200;

test('a process that is killed in the middle of transactions leaves nothing by halves, nor twice', async () => {
  await backEnd.start();
  await backEnd.sync();
  await backEnd.put('network', aNetwork(1));
  await backEnd.put('subnet', aSubnet(1));
  await backEnd.put('security_group', aSecurityGroup(1));
  const rounds = ofAll(4, 20);
  for (let round = 1; round <= rounds; round += 1) {
    const killed = later(20 + 40 * round, () => (round % 2 === 0 ? northbound.stop('SIGKILL') : backEnd.kill()));
    await tellPorts(round);
    await killed;
    if (round % 2 === 0) await northbound.start();
    else await backEnd.start();
    await backEnd.sync();
    // Of what is in the database each row is whole, though not all is there yet.
    assert.deepEqual(doubles(), []);
  }
  await tellPorts(rounds + 1);
  await backEnd.settled(60);
  const hosts = lines('Logical_Switch_Port', 'options');
  assert.deepEqual([hosts.length, new Set(hosts)], [PORTS, new Set([`requested-chassis=host${rounds + 1}`])]);
  assert.equal(
    lines('Port_Group', 'ports')
      .map((one) => one.split(' ').length)
      .reduce((a, b) => a + b, 0),
    2 * PORTS,
  );
  assert.deepEqual(doubles(), []);
});

/** All ports are told to be on another host, as far as anybody is there to listen. */
async function tellPorts(round: number): Promise<void> {
  const ports = Array.from({ length: PORTS }, (_, i) =>
    aPort(i + 1, { revision_number: round, 'binding:host_id': `host${round}` }),
  );
  await Promise.allSettled(ports.map((port) => backEnd.put('port', port)));
}

function lines(table: string, column: string): readonly string[] {
  return northbound
    .ctl('--bare', `--columns=${column}`, 'list', table)
    .split('\n')
    .filter((one) => one !== '');
}

/** Keys of rows that are there twice, and rows without one. */
function doubles(): readonly string[] {
  const tables = ['Logical_Switch', 'Logical_Switch_Port', 'Port_Group', 'ACL', 'Address_Set', 'DHCP_Options'];
  const keys = tables.flatMap((table) =>
    lines(table, 'external_ids').map((ids) => /cable:row=(\S+)/.exec(ids)?.[1] ?? `none of ${table}`),
  );
  return keys.filter((key, i) => keys.indexOf(key) !== i);
}

async function later(ms: number, work: () => Promise<void>): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  await work();
}
