/** Two hosts on loopback addresses: what one tells of a port's flows, and what the other takes. Only the flow tables are fakes. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { LocalPort } from '@cable/model';
import type { JoinedGroups } from '../guest/joined-groups.ts';
import { askFlows } from './flow-client.ts';
import { parseFlowLine, writeLine } from './flow-lines.ts';
import { type FlowServer, startFlowServer } from './flow-server.ts';
import { FlowSource } from './flow-source.ts';
import { FlowTaker } from './flow-taker.ts';
import type { MovingPort } from './moving-ports.ts';
import { EXAMPLE, FakeTable } from './testing.ts';

const PORT = 'c0000000-0000-4000-8000-000000000001';
const OTHER = 'c0000000-0000-4000-8000-000000000002';
const [SOURCE, TARGET, STRANGER] = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
const port = {
  ...{ id: PORT, macAddress: '02:00:00:00:00:01', portSecurityEnabled: true },
  fixedIps: [{ subnetId: '', ipAddress: '10.0.0.1' }],
  allowedAddressPairs: [{ ipAddress: '10.7.0.0/16', macAddress: '02:00:00:00:00:01' }],
} as unknown as LocalPort;

const COMING: MovingPort = { port, from: SOURCE, isHere: false, others: new Set([SOURCE]) };

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let n = 0; n < 6000; n += 1) {
    if (holds()) return;
    await sleep(10);
  }
  assert.fail(`in vain: ${what}`);
}

/** The source: who may be told which port, and its table. */
async function source(t: TestContext, at = 0) {
  const end = new AbortController();
  t.after(() => end.abort());
  const table = new FakeTable();
  const others = new Map([[PORT, new Set([TARGET])]]);
  const moving = {
    get: (portId: string): MovingPort | undefined => {
      const known = others.get(portId);
      return known === undefined ? undefined : { port, from: null, isHere: true, others: known };
    },
    knows: (underlay: string) => [...others.values()].some((known) => known.has(underlay)),
  };
  const deps = { log: silentLogger(), signal: end.signal };
  const names = { network: () => null, member: () => null };
  const flows = new FlowSource({ carry: () => table, names: () => names, everyMs: 5, ...deps });
  const vif = (portId: string): number => (portId === PORT ? 4 : 5);
  const routers = { others: () => undefined, knows: () => false, source: () => undefined };
  const joined = new Map<number, JoinedGroups>();
  const groups = { read: (number: number) => joined.get(number) };
  const options = { address: SOURCE, port: at, moving, routers, source: flows, vif, groups, ...deps };
  const server: FlowServer = startFlowServer(options);
  await eventually('it listens', () => server.error === null);
  return { table, others, server, flows, joined, stop: () => end.abort() };
}

function target(t: TestContext, site: () => number) {
  const end = new AbortController();
  t.after(() => end.abort());
  const table = new FakeTable();
  const moving = new Map<string, MovingPort>([[PORT, COMING]]);
  const sessions: number[] = [];
  const said: boolean[] = [];
  const joined: unknown[] = [];
  const taker = new FlowTaker({
    carry: () => table,
    moving,
    vif: () => 9,
    numbers: { network: () => undefined, member: () => undefined },
    ask: (host, portId, signal) => askFlows({ host, port: site(), own: TARGET }, portId, signal),
    waits: () => ({ next: () => 5, reset: () => undefined }),
    session: () => sessions.push(0),
    groups: { write: (...told) => void joined.push(told) },
    onChange: () => said.push(taker.hasFlows(PORT)),
    log: silentLogger(),
    signal: end.signal,
  });
  taker.check(PORT);
  return { table, taker, moving, sessions, said, joined };
}

test('all flows of the port come, then what is different, and nobody else’s', async (t) => {
  const { table, server } = await source(t);
  for (let n = 1; n <= 3000; n += 1) table.flows.set(n, { vif: n % 2 === 0 ? 4 : 6, packets: 1 });
  const to = target(t, () => server.port ?? 0);
  await eventually('all have come', () => to.table.taken.size === 1500);
  assert.ok([...to.table.taken.keys()].every((n) => n % 2 === 0));
  table.flows.set(4000, { vif: 4, packets: 1 });
  await eventually('a new one has come', () => to.table.taken.has(4000));
  const { made } = to.taker.status;
  table.flows.set(2, { vif: 4, packets: 2 });
  await eventually('a change has come', () => to.taker.status.renewed > 0);
  assert.equal(to.taker.status.made, made);
});

test('what was answered comes first, however many flows nobody answers', async (t) => {
  const { table, server } = await source(t);
  for (let n = 1; n <= 3000; n += 1) table.flows.set(n, { vif: 4, packets: 1, ...(n > 2990 ? {} : { state: 'new' }) });
  const to = target(t, () => server.port ?? 0);
  await eventually('all have come', () => to.table.taken.size === 3000);
  const ports = [...to.table.taken.keys()];
  assert.deepEqual(ports.slice(0, 11), [...Array.from({ length: 10 }, (_, n) => 2991 + n), 1]);
  await eventually('that is said', () => to.said.includes(true));
});

test('after a restart of the source all come anew, and what has ended meanwhile is swept', async (t) => {
  const first = await source(t);
  let { server } = first;
  for (const n of [1, 2, 3]) first.table.flows.set(n, { vif: 4, packets: 1 });
  const to = target(t, () => server.port ?? 0);
  await eventually('all have come', () => to.table.taken.size === 3);
  first.stop();
  const second = await source(t);
  for (const n of [2, 3]) second.table.flows.set(n, { vif: 4, packets: 1 });
  ({ server } = second);
  await eventually('the first is gone', () => !to.table.taken.has(1));
  assert.deepEqual([...to.table.taken.keys()].sort(), [2, 3]);
  assert.ok(to.sessions.length > 1);
});

test('that all are here is said once, and no more when the port comes from elsewhere, or not at all', async (t) => {
  const { table, server } = await source(t);
  table.flows.set(1, { vif: 4, packets: 1 });
  const to = target(t, () => server.port ?? 0);
  assert.equal(to.taker.hasFlows(PORT), false);
  await eventually('all have come', () => to.taker.hasFlows(PORT));
  assert.equal(to.table.taken.size, 1);
  to.taker.check(PORT);
  assert.deepEqual(to.said, [true]);
  to.moving.set(PORT, { ...COMING, from: '127.0.0.9' });
  to.taker.check(PORT);
  assert.deepEqual(to.said, [true, false]);
  to.moving.set(PORT, COMING);
  to.taker.check(PORT);
  await eventually('all have come again', () => to.taker.hasFlows(PORT));
  to.moving.delete(PORT);
  to.taker.check(PORT);
  assert.deepEqual(to.said, [true, false, true, false]);
});

test('what its guest has joined comes before it is said that all have come, and whenever it is otherwise', async (t) => {
  const { server, joined } = await source(t);
  const first = { groups: ['239.1.2.3', 'ff05::5'], getsAll: false, isRouter: false };
  joined.set(4, first);
  joined.set(5, { ...first, groups: ['239.9.9.9'] });
  const to = target(t, () => server.port ?? 0);
  await eventually('all have come', () => to.taker.hasFlows(PORT));
  assert.deepEqual(to.joined, [[9, PORT, first]]);
  const next = { groups: [], getsAll: true, isRouter: true };
  joined.set(4, next);
  await eventually('it is otherwise', () => to.joined.length === 2);
  assert.deepEqual(to.joined[1], [9, PORT, next]);
  joined.delete(4);
  await sleep(500);
  assert.equal(to.joined.length, 2, 'who knows nothing tells nothing');
});

test('what another host says of groups is read, or passed over', () => {
  const line = { type: 'groups', groups: ['239.1.2.3'], getsAll: false, isRouter: false };
  const { type: _, ...joined } = line;
  assert.deepEqual(parseFlowLine(JSON.stringify(line)), { type: 'groups', joined });
  for (const wrong of [
    { groups: ['10.0.0.1'] },
    { groups: ['nonsense'] },
    { groups: [7] },
    { groups: '239.1.2.3' },
    { groups: Array.from({ length: 33 }, (_one, n) => `239.1.2.${n}`) },
    { getsAll: 1 },
    { isRouter: undefined },
  ])
    assert.equal(parseFlowLine(JSON.stringify({ ...line, ...wrong })), 'other', JSON.stringify(wrong));
});

test('once the port is here a source that has no flows of it any more ends none', async (t) => {
  const first = await source(t);
  let { server } = first;
  for (const n of [1, 2]) first.table.flows.set(n, { vif: 4, packets: 1 });
  const to = target(t, () => server.port ?? 0);
  await eventually('all have come', () => to.table.taken.size === 2);
  to.moving.set(PORT, { ...COMING, isHere: true });
  first.stop();
  const second = await source(t);
  second.table.flows.set(3, { vif: 4, packets: 1 });
  ({ server } = second);
  await eventually('the other one has come', () => to.table.taken.has(3));
  second.table.flows.set(4, { vif: 4, packets: 1 });
  await eventually('what comes after the whole has come', () => to.table.taken.has(4));
  assert.deepEqual([...to.table.taken.keys()].sort(), [1, 2, 3, 4]);
});

test('a source that has none ends none, also while this host does not know yet that the port is here', async (t) => {
  const first = await source(t);
  let { server } = first;
  for (const n of [1, 2]) first.table.flows.set(n, { vif: 4, packets: 1 });
  const to = target(t, () => server.port ?? 0);
  await eventually('all have come', () => to.table.taken.size === 2);
  first.stop();
  const second = await source(t);
  ({ server } = second);
  await eventually('the whole, which is nothing, was told', () => second.table.followed.get(4) === 'changes');
  second.table.flows.set(3, { vif: 4, packets: 1 });
  await eventually('what comes after the whole has come', () => to.table.taken.has(3));
  assert.deepEqual([...to.table.taken.keys()].sort(), [1, 2, 3]);
});

test('who does not take the port is told nothing: a stranger is cut before anything is read', async (t) => {
  const { table, others, server } = await source(t);
  table.flows.set(1, { vif: 4, packets: 1 });
  const asked = async (own: string, portId: string): Promise<string> => {
    const lines: string[] = [];
    try {
      for await (const some of askFlows(
        { host: SOURCE, port: server.port ?? 0, own },
        portId,
        AbortSignal.timeout(30_000),
      )) {
        lines.push(...some);
        if (lines.some((line) => line.includes('whole'))) return 'told';
      }
      return 'ended';
    } catch (err) {
      return err instanceof Error ? err.message : String(err);
    }
  };
  assert.equal(await asked(TARGET, PORT), 'told');
  assert.match(await asked(STRANGER, PORT), /ECONNRESET|socket hang up/);
  others.set(OTHER, new Set([STRANGER]));
  assert.match(await asked(STRANGER, PORT), /403/);
  assert.match(await asked(TARGET, OTHER), /403/);
  assert.match(await asked(TARGET, '../status'), /403/);
});

test('when the port has come to rest the connection ends, and the source looks no more', async (t) => {
  const { table, others, server, flows } = await source(t);
  table.flows.set(1, { vif: 4, packets: 1 });
  const to = target(t, () => server.port ?? 0);
  await eventually('it has come', () => to.table.taken.size === 1);
  assert.equal(flows.followers, 1);
  to.moving.delete(PORT);
  to.taker.check(PORT);
  await eventually('nobody follows', () => flows.followers === 0 && table.followed.size === 0);
  assert.equal(to.taker.status.ports, 0);
  to.moving.set(PORT, COMING);
  to.taker.check(PORT);
  await eventually('it is followed', () => flows.followers === 1);
  others.delete(PORT);
  server.check(PORT);
  await eventually('nobody follows', () => flows.followers === 0);
  await eventually('it is told why', () => /403|hang up|ECONNRESET/.test(to.taker.status.error ?? ''));
});

test('a connection that says nothing, or is many, holds nothing up', async (t) => {
  const { table, server } = await source(t);
  table.flows.set(1, { vif: 4, packets: 1 });
  const idle = Array.from({ length: 50 }, () =>
    connect({ host: SOURCE, port: server.port ?? 0, localAddress: TARGET }).on('error', () => undefined),
  );
  t.after(() => {
    for (const socket of idle) socket.destroy();
  });
  const to = target(t, () => server.port ?? 0);
  await eventually('it has come', () => to.table.taken.size === 1);
});

test('of what a host says only flows from addresses of the port are taken; a line that is not understood ends it', async (t) => {
  const flow = (address: string, own = 7): string =>
    writeLine({ type: 'flow', flow: { ...EXAMPLE, own: { address, port: own } } });
  const hello = writeLine({ type: 'hello', version: 1 });
  const answers = [
    `${hello}${flow('10.0.0.1', 1)}${flow('10.7.3.3', 2)}${flow('10.0.0.2', 3)}{"type":"news"}\n${flow('nonsense' as never, 4)}`,
    `${hello}not JSON\n${flow('10.0.0.1', 5)}`,
    `{"type":"hello","version":9}\n${flow('10.0.0.1', 6)}`,
    `${hello}${'x'.repeat(20_000)}`,
  ];
  let asked = 0;
  const server = createServer((_, response) => {
    response.write(answers[asked] ?? '');
    asked += 1;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, SOURCE, resolve));
  t.after(() => server.close());
  const at = (server.address() as { port: number }).port;
  const to = target(t, () => at);
  await eventually('all was said', () => asked > answers.length + 1);
  assert.deepEqual([...to.table.taken.keys()].sort(), [1, 2]);
  assert.equal(to.taker.status.refused, 1);
  assert.notEqual(to.taker.status.error, null);
});
