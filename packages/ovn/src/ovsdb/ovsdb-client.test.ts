/** With a real ovsdb-server; what no real one does, with a socket that says it. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { SCHEMAS, startOvsdbServer, until } from '../testing/index.ts';
import { setOf } from './datum.ts';
import { OvsdbClient, type OvsdbClientOptions } from './ovsdb-client.ts';
import { OvsdbError } from './ovsdb-error.ts';
import { parseRemotes } from './remote.ts';

/** The first of five ports that no other test of this machine has. */
const PORT = 20_000 + 5 * (process.pid % 8000);

type Seen = { synced: number; lost: number; changed: number; locked: boolean | undefined };

/** A client, and what it was told. Ends with `stop`. */
function follow(remote: string, more: Partial<OvsdbClientOptions> = {}) {
  const stop = new AbortController();
  const seen: Seen = { synced: 0, lost: 0, changed: 0, locked: undefined };
  const listener = {
    synced: () => {
      seen.synced += 1;
    },
    changed: () => {
      seen.changed += 1;
    },
    lost: () => {
      seen.lost += 1;
    },
    locked: (has: boolean) => {
      seen.locked = has;
    },
  };
  const options: OvsdbClientOptions = {
    remotes: parseRemotes(remote) ?? [],
    database: 'OVN_Northbound',
    tables: { Logical_Switch: ['name', 'ports', 'external_ids'], Logical_Switch_Port: ['name', 'up'] },
    backoff: { minMs: 10, maxMs: 100 },
    ...more,
  };
  const client = new OvsdbClient(options, { listener, log: silentLogger(), signal: stop.signal });
  return {
    client,
    seen,
    stop: async () => {
      stop.abort();
      await client.done;
    },
    names: () =>
      [...(client.replica?.rows('Logical_Switch').values() ?? [])].flatMap(({ columns }) =>
        columns['name']?.kind === 'set' ? columns['name'].atoms : [],
      ),
  };
}

const insert = (name: string) => ({ op: 'insert', table: 'Logical_Switch', row: { name } });

test('what others write is there, and what is written is told before the answer', async () => {
  await using server = await disposable();
  const a = follow(server.remote);
  try {
    await until(() => a.seen.synced === 1);
    server.ctl('ls-add', 'theirs');
    await until(() => a.names().includes('theirs'));
    await a.client.transact([insert('ours')]);
    assert.ok(a.names().includes('ours'));
    assert.equal(server.ctl('--bare', '--columns=name', 'find', 'Logical_Switch', 'name=ours'), 'ours');
    server.ctl('lsp-add', 'ours', 'p1');
    await until(() => a.client.replica?.rows('Logical_Switch_Port').size === 1);
    const [port] = a.client.replica?.rows('Logical_Switch_Port').keys() ?? [];
    const holder = [...(a.client.replica?.rows('Logical_Switch').values() ?? [])].find(
      ({ columns }) => columns['name']?.kind === 'set' && columns['name'].atoms[0] === 'ours',
    );
    assert.deepEqual(holder?.columns['ports'], setOf([port ?? '']));
  } finally {
    await a.stop();
  }
});

test('a refusal says why, and nothing of the transaction is done', async () => {
  await using server = await disposable();
  const a = follow(server.remote);
  try {
    await until(() => a.seen.synced === 1);
    const wait = {
      op: 'wait',
      table: 'Logical_Switch',
      where: [],
      columns: ['name'],
      until: '==',
      rows: [{ name: 'x' }],
      timeout: 0,
    };
    await assert.rejects(
      a.client.transact([insert('one'), wait]),
      (err) => err instanceof OvsdbError && err.kind === 'refused' && err.code === 'timed out',
    );
    await assert.rejects(
      a.client.transact([{ op: 'insert', table: 'None', row: {} }]),
      (err) => err instanceof OvsdbError && err.kind === 'refused',
    );
    assert.deepEqual(a.names(), []);
  } finally {
    await a.stop();
  }
});

test('of two clients one holds the lock, and the other writes nothing until that one is gone', async () => {
  await using server = await disposable();
  const a = follow(server.remote, { lock: 'cable' });
  await until(() => a.seen.locked === true);
  const b = follow(server.remote, { lock: 'cable' });
  try {
    await until(() => b.seen.locked === false && b.seen.synced === 1);
    await assert.rejects(
      b.client.transact([insert('b')]),
      (err) => err instanceof OvsdbError && err.code === 'not owner',
    );
    await a.client.transact([insert('a')]);
    await a.stop();
    await until(() => b.seen.locked === true);
    await b.client.transact([insert('b')]);
    assert.deepEqual([...b.names()].sort(), ['a', 'b']);
  } finally {
    await b.stop();
  }
});

test('a server that is killed is found again, with what it has then', async () => {
  await using server = await disposable();
  const a = follow(server.remote);
  try {
    await until(() => a.seen.synced === 1);
    await a.client.transact([insert('kept')]);
    await server.stop('SIGKILL');
    await until(() => a.seen.lost === 1);
    assert.match(a.client.problem ?? '', /\S/);
    await assert.rejects(
      a.client.transact([insert('never')]),
      (err) => err instanceof OvsdbError && err.kind === 'lost',
    );
    await server.start();
    await until(() => a.seen.synced === 2);
    assert.deepEqual(a.names(), ['kept']);
    assert.equal(a.client.problem, undefined);
  } finally {
    await a.stop();
  }
});

test('one that stands still is left, though the connection is there', async () => {
  await using server = await disposable();
  const a = follow(server.remote, { probeMs: 100 });
  try {
    await until(() => a.seen.synced === 1);
    server.process().kill('SIGSTOP');
    await until(() => a.seen.lost === 1);
    server.process().kill('SIGCONT');
    await until(() => a.seen.synced === 2);
  } finally {
    await a.stop();
  }
});

test('tcp and ssl lead to the same', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-ovsdb-tls-'));
  try {
    const tls = makeTls(directory);
    const options = [
      `--remote=ptcp:${PORT}:127.0.0.1`,
      `--remote=pssl:${PORT + 1}:127.0.0.1`,
      ...['private-key=key', 'certificate=cert', 'ca-cert=ca'].map(
        (one) => `--${one.replace('=', `=${directory}/`)}.pem`,
      ),
    ];
    await using server = await disposable(options);
    server.ctl('ls-add', 'there');
    for (const [remote, more] of [
      [`tcp:127.0.0.1:${PORT}`, {}],
      [`ssl:127.0.0.1:${PORT + 1}`, { tls }],
    ] as const) {
      const a = follow(remote, more);
      await until(
        () => a.seen.synced === 1,
        10,
        () => `${remote}: ${a.client.problem}`,
      );
      assert.deepEqual(a.names(), ['there']);
      await a.stop();
    }
    const stranger = follow(`ssl:127.0.0.1:${PORT + 1}`);
    await until(
      () => /certificate|handshake|self-signed/i.test(stranger.client.problem ?? ''),
      10,
      () => stranger.client.problem ?? '',
    );
    await stranger.stop();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('of a cluster the leader is followed, and another one when it is gone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-raft-'));
  const members = startCluster(directory);
  // On a busy machine a cluster elects anew at any time, and a member may keep what it was asked to write.
  const a = follow(members.map(({ remote }) => remote).join(','), { requestMs: 3000 });
  const write = (name: string): Promise<void> =>
    until(
      async () => {
        if (a.names().includes(name)) return true;
        return a.client.transact([insert(name)]).then(
          () => true,
          () => false,
        );
      },
      120,
      () => String(a.client.problem),
    );
  try {
    await write('first');
    // Of two, the other one alone is no majority: each must have joined.
    await until(() => members.every(({ remote }) => hasJoined(remote)), 60);
    const leader = members.find(({ remote }) => leads(remote));
    assert.ok(leader);
    const gone = once(leader.process, 'exit');
    leader.process.kill('SIGKILL');
    await gone;
    await write('second');
    assert.deepEqual([...a.names()].sort(), ['first', 'second']);
  } finally {
    await a.stop();
    for (const { process } of members) process.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
});

test('a server without monitor_cond is followed by monitor', async () => {
  const told = await withFake(
    (method) => {
      if (method === 'list_dbs') return { result: ['OVN_Northbound'] };
      if (method === 'get_schema') return { result: smallSchema() };
      if (method === 'monitor')
        return { result: { Logical_Switch: { u1: { new: { name: 'old', external_ids: ['map', []] } } } } };
      return { error: 'unknown method' };
    },
    async (remote) => {
      const a = follow(remote, { tables: { Logical_Switch: ['name', 'external_ids'] } });
      await until(() => a.seen.synced === 1);
      const names = a.names();
      await a.stop();
      return names;
    },
  );
  assert.deepEqual(told, ['old']);
});

test('an update that comes in one piece with the rows that it changes is of them', async () => {
  const names = await withRaw(
    (socket) => {
      socket.on('data', (chunk) => {
        const { method, id } = JSON.parse(String(chunk)) as { readonly method: string; readonly id: number };
        const answer = (result: unknown): string => JSON.stringify({ id, result, error: null });
        const update = { Logical_Switch: { u1: { modify: { name: 'new' } } } };
        const notification = JSON.stringify({ id: null, method: 'update2', params: ['cable', update] });
        if (method === 'list_dbs') socket.write(answer(['OVN_Northbound']));
        if (method === 'get_schema') socket.write(answer(smallSchema()));
        if (method === 'monitor_cond')
          socket.write(`${answer({ Logical_Switch: { u1: { initial: { name: 'old' } } } })}${notification}`);
      });
    },
    async (remote) => {
      const a = follow(remote, { tables: { Logical_Switch: ['name', 'external_ids'] } });
      await until(() => a.seen.synced === 1);
      const found = a.names();
      await a.stop();
      return found;
    },
  );
  assert.deepEqual(names, ['new']);
});

test('a hostile server costs a connection, never more', async () => {
  const hostile: readonly string[] = [
    '[[[[',
    'HTTP/1.1 200 OK',
    '{"id":99,"result":[],"error":null}',
    '{"method":"update2","params":["cable",{"X":{}}],"id":null}',
    '{"method":"update","params":{},"id":null}',
    '{"id":1,"result":"x","error":null}',
    '{"id":1,"result":["OVN_Northbound"],"error":null}{"id":2,"result":{"tables":[]},"error":null}',
    `{"id":1,"result":"${'x'.repeat(20_000)}`,
    '[]',
    'null',
    '{}',
  ];
  for (const text of hostile) {
    const problem = await withRaw(
      (socket) => socket.write(text),
      async (remote) => {
        const a = follow(remote, { limits: { bytes: 10_000, depth: 16 }, requestMs: 300, probeMs: 200 });
        await until(
          () => a.client.problem !== undefined && a.client.problem !== 'has not connected yet',
          5,
          () => text,
        );
        await a.stop();
        return { problem: a.client.problem, synced: a.seen.synced };
      },
    );
    assert.equal(problem.synced, 0, text);
  }
});

async function disposable(options: readonly string[] = []) {
  const server = await startOvsdbServer({ schema: SCHEMAS.northbound, options });
  return { ...server, [Symbol.asyncDispose]: () => server.close() };
}

function makeTls(directory: string) {
  const at = (name: string): string => join(directory, name);
  const openssl = (...words: readonly string[]): void => {
    execFileSync('openssl', words, { stdio: 'ignore' });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-keyout', at('cakey.pem'), '-out', at('ca.pem'), '-subj', '/CN=authority');
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    at('key.pem'),
    '-out',
    at('cert.pem'),
    '-subj',
    '/CN=ovn',
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('cakey.pem'),
  );
  const read = (name: string): string => readFileSync(at(name), 'utf8');
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

/** Whether the member leads now; one that does not answer does not. */
const leads = (remote: string): boolean => saysOfItself(remote, 'leader');

/** Whether the member is one of the cluster, and in touch with it. */
const hasJoined = (remote: string): boolean => saysOfItself(remote, 'connected');

function saysOfItself(remote: string, column: 'leader' | 'connected'): boolean {
  try {
    const words = ['dump', remote, '_Server', 'Database', 'name', column, '--format=csv'];
    const said = execFileSync('ovsdb-client', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /OVN_Northbound.*true|true.*OVN_Northbound/.test(said);
  } catch {
    return false;
  }
}

function startCluster(directory: string) {
  const members = [1, 2, 3].map((n) => ({
    database: join(directory, `${n}.db`),
    raft: `tcp:127.0.0.1:${PORT + 1 + n}`,
    remote: `unix:${join(directory, `${n}.sock`)}`,
  }));
  const first = members[0]?.raft ?? '';
  return members.map(({ database, raft, remote }, i) => {
    if (i === 0) execFileSync('ovsdb-tool', ['create-cluster', database, SCHEMAS.northbound, raft]);
    else execFileSync('ovsdb-tool', ['join-cluster', database, 'OVN_Northbound', raft, first]);
    const words = [database, `--remote=p${remote}`, `--unixctl=${directory}/${i}.ctl`, '-vconsole:off'];
    return { remote, process: spawnQuiet('ovsdb-server', words) };
  });
}

function spawnQuiet(program: string, words: readonly string[]) {
  return spawn(program, [...words], { stdio: 'ignore' });
}

function smallSchema() {
  const map = { key: 'string', value: 'string', min: 0, max: 'unlimited' };
  return { tables: { Logical_Switch: { columns: { name: { type: 'string' }, external_ids: { type: map } } } } };
}

type Answer = { readonly result: unknown } | { readonly error: unknown };

/** A server that answers each request by the function. */
function withFake<T>(answer: (method: string) => Answer, work: (remote: string) => Promise<T>): Promise<T> {
  return withRaw((socket) => {
    socket.on('data', (chunk) => {
      for (const one of String(chunk).split(/(?<=\})(?=\{"method")/)) {
        const { method, id } = JSON.parse(one) as { readonly method: string; readonly id: number };
        socket.write(JSON.stringify({ id, result: null, error: null, ...answer(method) }));
      }
    });
  }, work);
}

async function withRaw<T>(greet: (socket: Socket) => void, work: (remote: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'cable-fake-'));
  const path = join(directory, 'db.sock');
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    greet(socket);
  }).listen(path);
  await once(server, 'listening');
  try {
    return await work(`unix:${path}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
