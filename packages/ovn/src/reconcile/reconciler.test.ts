/** With a real ovsdb-server that has OVN's Northbound schema. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { OvsdbClient } from '../ovsdb/ovsdb-client.ts';
import { parseRemotes } from '../ovsdb/remote.ts';
import {
  aNetwork,
  aPort,
  aRouter,
  aSecurityGroup,
  aSubnet,
  idOf,
  SCHEMAS,
  startOvsdbServer,
  type TestServer,
  until,
} from '../testing/index.ts';
import { parseObject, type ResourceName } from '../translate/neutron.ts';
import { Translation } from '../translate/translation.ts';
import { NORTHBOUND_TABLES } from '../translate/wanted-row.ts';
import { Reconciler } from './reconciler.ts';
import { Reports } from './reports.ts';

/** A reconciler on the server. */
function start(server: TestServer, isComplete: () => boolean = () => true) {
  const stop = new AbortController();
  const translation = new Translation();
  const reports = new Reports();
  const { signal } = stop;
  const reconciler = new Reconciler({ translation, reports, isComplete, log: silentLogger(), signal });
  const client = new OvsdbClient(
    {
      remotes: parseRemotes(server.remote) ?? [],
      database: 'OVN_Northbound',
      tables: NORTHBOUND_TABLES,
      lock: 'cable',
      backoff: { minMs: 10, maxMs: 100 },
    },
    { listener: reconciler, log: silentLogger(), signal },
  );
  reconciler.writeBy(client);
  return {
    translation,
    reports,
    reconciler,
    client,
    put: (resource: ResourceName, object: Readonly<Record<string, unknown>> & { readonly id: string }) => {
      const parsed = parseObject(resource, object);
      assert(parsed.ok, parsed.ok ? '' : parsed.reason);
      reconciler.touch(translation.put(resource, object.id, parsed.value, parsed.value.revision));
    },
    remove: (resource: ResourceName, id: string) => reconciler.touch(translation.delete(resource, id)),
    settled: () =>
      until(
        () => reconciler.pending === 0 && client.replica !== undefined,
        30,
        () => String(client.problem),
      ),
    stop: async () => {
      stop.abort();
      await Promise.all([reconciler.done, client.done]);
    },
  };
}

type Started = ReturnType<typeof start>;

async function withServer(work: (server: TestServer) => Promise<void>): Promise<void> {
  const server = await startOvsdbServer({ schema: SCHEMAS.northbound });
  try {
    await work(server);
  } finally {
    await server.close();
  }
}

function putAll({ put }: Started, count = 3): void {
  put('network', aNetwork());
  put('subnet', aSubnet());
  put('security_group', aSecurityGroup());
  put('router', aRouter());
  for (let n = 1; n <= count; n += 1) put('port', aPort(n));
}

/** All that is in the database, without what is new with every row. One program: what is tried runs in this process, and waits meanwhile. */
function dump(server: TestServer): string {
  return execFileSync('ovsdb-client', ['dump', '--format=csv', server.remote, 'OVN_Northbound'], { encoding: 'utf8' })
    .replaceAll(UUID, (uuid) => (uuid.startsWith('00000000-') ? uuid : 'U'))
    .split('\n')
    .sort()
    .join('\n');
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

test('objects become rows, in whatever order they are told, and rows go with them', () =>
  withServer(async (server) => {
    const empty = dump(server);
    const a = start(server);
    try {
      a.put('port', aPort(1));
      a.put('security_group', aSecurityGroup());
      a.put('subnet', aSubnet());
      await a.settled();
      a.put('network', aNetwork());
      await a.settled();
      await until(() =>
        server.ctl('--bare', '--columns=name', 'find', 'Logical_Switch_Port').includes(idOf('port', 1)),
      );
      a.put('port', aPort(2));
      a.put('port', aPort(3));
      a.put('router', aRouter());
      await a.settled();
      const backwards = dump(server);
      for (const [resource, n] of [
        ['network', 1],
        ['router', 1],
        ['port', 1],
        ['port', 2],
        ['port', 3],
        ['security_group', 1],
        ['subnet', 1],
      ] as const)
        a.remove(resource, idOf(resource, n));
      await a.settled();
      const left = server.ctl('--bare', '--columns=external_ids', 'list', 'Port_Group');
      assert.equal(left, 'cable:row=drop');
      putAll(a);
      await a.settled();
      assert.equal(dump(server), backwards);
      assert.notEqual(backwards, empty);
    } finally {
      await a.stop();
    }
  }));

test('what is as it is to be costs no transaction, also for a process that has just started', () =>
  withServer(async (server) => {
    const a = start(server);
    putAll(a);
    await a.settled();
    await a.stop();
    const b = start(server);
    try {
      putAll(b);
      await b.settled();
      assert.equal(b.reconciler.counts.transactions, 0);
      b.put('port', { ...aPort(2), revision_number: 9, 'binding:host_id': 'host9' });
      await b.settled();
      assert.equal(b.reconciler.counts.transactions, 1);
      assert.equal(server.ctl('get', 'Logical_Switch_Port', idOf('port', 2), 'options:requested-chassis'), 'host9');
    } finally {
      await b.stop();
    }
  }));

test('nothing is written before all is known, and then what is not to be there goes', () =>
  withServer(async (server) => {
    const a = start(server);
    putAll(a);
    await a.settled();
    await a.stop();
    const before = dump(server);
    let isComplete = false;
    const b = start(server, () => isComplete);
    try {
      await until(() => b.client.replica !== undefined);
      b.put('network', aNetwork());
      b.put('subnet', aSubnet());
      b.put('security_group', aSecurityGroup());
      b.put('port', aPort(1));
      assert.equal(dump(server), before);
      isComplete = true;
      b.reconciler.touch([]);
      await b.settled();
      const ports = server
        .ctl('--bare', '--columns=name', 'list', 'Logical_Switch_Port')
        .split('\n')
        .filter((one) => one !== '');
      assert.deepEqual(ports, [idOf('port', 1)]);
      assert.equal(server.ctl('--bare', '--columns=name', 'list', 'Logical_Router'), '');
    } finally {
      await b.stop();
    }
  }));

test('what others change of our rows is mended, and what is theirs stays', () =>
  withServer(async (server) => {
    const a = start(server);
    try {
      putAll(a);
      await a.settled();
      const name = `neutron-${idOf('network', 1)}`;
      server.ctl('ls-add', 'theirs');
      server.ctl('lsp-add', name, 'theirs-in-ours');
      server.ctl('set', 'Logical_Switch', name, 'external_ids:theirs=yes');
      const group = `cable_sg_${idOf('security_group', 1).replaceAll('-', '_')}`;
      server.ctl('acl-add', group, 'to-lport', '7', 'ip4', 'drop');
      await a.settled();
      const good = dump(server);
      const port = idOf('port', 1);
      const breaks: readonly (readonly string[])[] = [
        ['lsp-del', port],
        ['lsp-set-port-security', port],
        ['set', 'Logical_Switch_Port', port, 'options:requested-chassis=elsewhere'],
        ['pg-set-ports', group, 'theirs-in-ours'],
        ['remove', 'Logical_Switch_Port', port, 'external_ids', '"cable:revision"'],
        ['lr-del', `neutron-${idOf('router', 1)}`],
        ['clear', 'Address_Set', `cable_members_4_${idOf('security_group', 1).replaceAll('-', '_')}`, 'addresses'],
        ['pg-del', 'cable_drop'],
      ];
      for (const words of breaks) {
        server.ctl(...words);
        if (words[0] === 'pg-set-ports')
          server.ctl(
            'remove',
            'Port_Group',
            group,
            'ports',
            server.ctl('--bare', '--columns=_uuid', 'find', 'Logical_Switch_Port', 'name=theirs-in-ours'),
          );
        await until(
          () => dump(server) === good,
          60,
          () => `${words.join(' ')}\n${dump(server)}\n---\n${good}`,
        );
      }
      assert.match(server.ctl('ls-list'), /theirs/);
      assert.match(server.ctl('lsp-list', name), /theirs-in-ours/);
      assert.match(server.ctl('acl-list', group), /7/);
    } finally {
      await a.stop();
    }
  }));

test('a row that the database refuses fails its object alone, and comes when nothing is in its way', () =>
  withServer(async (server) => {
    server.ctl('ls-add', 'theirs');
    server.ctl('lsp-add', 'theirs', idOf('port', 2));
    const a = start(server);
    try {
      putAll(a, 20);
      await until(
        () => a.reports.since(0, 100).reports.some(({ id, error }) => id === idOf('port', 2) && error !== undefined),
        10,
      );
      const { reports } = a.reports.since(0, 100);
      const said = (n: number) => reports.find(({ id }) => id === idOf('port', n));
      assert.match(said(2)?.error ?? '', /constraint violation/);
      await until(
        () =>
          a.reports.since(0, 100).reports.filter(({ realisedRevision }) => realisedRevision !== undefined).length ===
          23,
        10,
      );
      server.ctl('lsp-del', idOf('port', 2));
      a.put('port', { ...aPort(2), revision_number: 2 });
      await a.settled();
      assert.equal(a.reports.since(0, 100).reports.find(({ id }) => id === idOf('port', 2))?.realisedRevision, 2);
    } finally {
      await a.stop();
    }
  }));

test('that a port is up is told, and when it is no more', () =>
  withServer(async (server) => {
    const a = start(server);
    try {
      putAll(a);
      await a.settled();
      const status = () => a.reports.since(0, 100).reports.find(({ id }) => id === idOf('port', 1))?.status;
      assert.equal(status(), 'DOWN');
      server.ctl('set', 'Logical_Switch_Port', idOf('port', 1), 'up=true');
      await until(() => status() === 'ACTIVE');
      const { transactions } = a.reconciler.counts;
      server.ctl('set', 'Logical_Switch_Port', idOf('port', 1), 'up=false');
      await until(() => status() === 'DOWN');
      assert.equal(a.reconciler.counts.transactions, transactions);
    } finally {
      await a.stop();
    }
  }));

test('a database that is killed amid transactions has in the end what it is to have', () =>
  withServer(async (server) => {
    const a = start(server);
    try {
      putAll(a, 0);
      for (let round = 0; round < 4; round += 1) {
        for (let n = 1; n <= 60; n += 1)
          a.put('port', { ...aPort(n), revision_number: round + 1, 'binding:host_id': `host${round}` });
        await server.stop('SIGKILL');
        await server.start();
      }
      await a.settled();
      const hosts = server
        .ctl('--bare', '--columns=options', 'list', 'Logical_Switch_Port')
        .split('\n')
        .filter((one) => one !== '');
      assert.deepEqual([hosts.length, new Set(hosts)], [60, new Set(['requested-chassis=host3'])]);
    } finally {
      await a.stop();
    }
  }));
