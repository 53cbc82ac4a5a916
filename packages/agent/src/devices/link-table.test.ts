import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { type LoadedObject, loadObject } from '../bpf/object.ts';
import { createScratch, type Scratch } from '../bpf/testing.ts';
import { ensureIngressFilter, removeIngressFilter } from '../net/filter.ts';
import { deleteLinksAside, listLinks, requireLink } from '../net/link.ts';
import { type NetlinkRequest, NetlinkSocket } from '../net/socket.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import { createVeth, ensureVeth } from '../net/veth.ts';
import type { LinkChanges } from './link-rows.ts';
import { LinkTable, type LinkTableOptions } from './link-table.ts';

const PROGRAM = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc")
int pass_it(struct __sk_buff *skb)
{
	return 0;
}
char cb_license[] SEC("license") = "Dual BSD/GPL";
`;

let scratch: Scratch;
let loaded: LoadedObject;

before(() => {
  scratch = createScratch('link-table');
  loaded = loadObject({ path: scratch.compile('pass', PROGRAM) });
});

after(() => {
  loaded.close();
  scratch.remove();
});

type Bed = {
  readonly netns: TestNetns;
  readonly socket: NetlinkSocket;
  readonly table: LinkTable;
  readonly changes: LinkChanges[];
  readonly until: (holds: () => boolean, what: string) => Promise<number>;
};

/** A table of a namespace of its own. */
async function withTable(body: (bed: Bed) => Promise<void>, options: Partial<LinkTableOptions> = {}): Promise<void> {
  const netns = createNetns();
  const stop = new AbortController();
  const socket = new NetlinkSocket({ netns: netns.path });
  const changes: LinkChanges[] = [];
  const onChange = (change: LinkChanges): void => {
    changes.push(change);
  };
  const table = new LinkTable({ onChange, log: silentLogger(), signal: stop.signal, netns: netns.path, ...options });
  const { ready, done } = table.start();
  const until = async (holds: () => boolean, what: string): Promise<number> => {
    const startedAt = performance.now();
    while (!holds()) {
      assert.ok(performance.now() - startedAt < 60_000, `in vain: ${what}`);
      await delay(1);
    }
    return performance.now() - startedAt;
  };
  try {
    await ready;
    await body({ netns, socket, table, changes, until });
  } finally {
    stop.abort();
    await done;
    socket.close();
    netns.remove();
  }
}

function program(): { readonly fd: number; readonly info: { readonly name: string; readonly id: number } } {
  const found = loaded.programs.get('pass_it');
  assert.ok(found);
  return found;
}

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('links, their addresses and our filter are there from the start', async () => {
  const netns = createNetns();
  const socket = new NetlinkSocket({ netns: netns.path });
  const stop = new AbortController();
  try {
    const { link } = ensureVeth(socket, { name: 'a0', peer: { name: 'a1' } });
    netns.ip('addr', 'add', '10.1.0.1/24', 'dev', 'a0');
    ensureIngressFilter(socket, link.ifindex, program());
    const onChange = (): void => undefined;
    const table = new LinkTable({ onChange, log: silentLogger(), signal: stop.signal, netns: netns.path });
    const { ready, done } = table.start();
    await ready;
    const row = table.byName('a0');
    assert.equal(row?.ifindex, link.ifindex);
    assert.deepEqual(
      row?.addresses.filter((one) => !one.linkLocal).map((one) => one.cidr),
      ['10.1.0.1/24'],
    );
    assert.equal(row?.programId, program().info.id);
    assert.equal(table.byName('a1')?.programId, undefined);
    assert.ok(table.byName('lo'));
    stop.abort();
    await done;
  } finally {
    stop.abort();
    socket.close();
    netns.remove();
  }
});

test('a link that comes, is changed, renamed and goes is told with the names that it had, and nothing is asked for it', async () => {
  await withTable(async ({ netns, table, changes, until }) => {
    const { fullReads } = table.counters();
    netns.ip('tuntap', 'add', 'tapa', 'mode', 'tap');
    await until(() => changes.some(({ moved }) => moved.has('tapa')), 'the tap appeared');
    changes.length = 0;
    const ifindex = table.byName('tapa')?.ifindex ?? 0;
    netns.ip('addr', 'add', '10.2.0.1/24', 'dev', 'tapa');
    await until(() => table.get(ifindex)?.addresses.some((one) => one.cidr === '10.2.0.1/24') ?? false, 'its address');
    netns.ip('addr', 'flush', 'dev', 'tapa');
    await until(() => table.get(ifindex)?.addresses.length === 0, 'the address went');
    netns.ip('link', 'set', 'tapa', 'mtu', '1400');
    await until(() => table.get(ifindex)?.mtuBytes === 1400, 'the MTU');
    assert.deepEqual(
      changes.flatMap(({ moved }) => [...moved]),
      [],
    );
    changes.length = 0;
    netns.ip('link', 'set', 'tapa', 'name', 'tapb');
    await until(() => table.byName('tapb') !== undefined, 'the new name');
    assert.equal(table.byName('tapa'), undefined);
    assert.equal(table.get(ifindex)?.name, 'tapb');
    assert.deepEqual([...(changes[0]?.names ?? [])].sort(), ['tapa', 'tapb']);
    assert.deepEqual([...(changes[0]?.moved ?? [])].sort(), ['tapa', 'tapb']);
    assert.deepEqual([...(changes[0]?.ifindexes ?? [])], [ifindex]);
    changes.length = 0;
    netns.ip('link', 'delete', 'tapb');
    await until(() => table.get(ifindex) === undefined, 'it went');
    assert.ok(changes.some((one) => one.names.has('tapb') && one.moved.has('tapb')));
    assert.equal(table.counters().fullReads, fullReads);
  });
});

test('a name goes over to another link', async () => {
  await withTable(async ({ netns, table, until }) => {
    for (const name of ['tapa', 'tapb']) netns.ip('tuntap', 'add', name, 'mode', 'tap');
    await until(() => table.byName('tapb') !== undefined, 'both');
    const [a, b] = [table.byName('tapa')?.ifindex, table.byName('tapb')?.ifindex];
    netns.ip('link', 'set', 'tapb', 'name', 'aside');
    netns.ip('link', 'set', 'tapa', 'name', 'tapb');
    await until(() => table.byName('tapb')?.ifindex === a, 'the name went over');
    assert.equal(table.byName('aside')?.ifindex, b);
    assert.equal(table.byName('tapa'), undefined);
  });
});

test('what this process changed is in the table at once when asked', async () => {
  await withTable(async ({ socket, table }) => {
    createVeth(socket, { name: 'b0', peer: { name: 'b1' } });
    assert.equal(table.byName('b0'), undefined);
    assert.equal(table.catchUp(), true);
    assert.equal(table.byName('b0')?.kind, 'veth');
  });
});

const LOSSES: readonly (readonly [string, (netns: TestNetns, socket: NetlinkSocket, ifindex: number) => void])[] = [
  [
    'its qdisc is deleted',
    (netns) => netns.ip('link', 'show') && netns.run('tc', 'qdisc', 'del', 'dev', 'c0', 'clsact'),
  ],
  ['its filters are deleted', (netns) => netns.run('tc', 'filter', 'del', 'dev', 'c0', 'ingress')],
  ['its priority is deleted', (netns) => netns.run('tc', 'filter', 'del', 'dev', 'c0', 'ingress', 'prio', '1')],
  ['it is taken off', (_netns, socket, ifindex) => removeIngressFilter(socket, ifindex)],
];

for (const [how, lose] of LOSSES) {
  test(`a program is told to be lost when ${how}`, async (t) => {
    await withTable(async ({ netns, socket, table, changes, until }) => {
      const { link } = ensureVeth(socket, { name: 'c0', peer: { name: 'c1' } });
      ensureIngressFilter(socket, link.ifindex, program());
      table.catchUp();
      assert.equal(table.get(link.ifindex)?.programId, program().info.id);
      changes.length = 0;
      lose(netns, socket, link.ifindex);
      const ms = await until(() => table.get(link.ifindex)?.programId === undefined, 'the program is lost');
      assert.ok(changes.some((one) => one.ifindexes.has(link.ifindex)));
      t.diagnostic(`told ${ms.toFixed(1)} ms after the command had ended`);
      assert.equal(ensureIngressFilter(socket, link.ifindex, program()), true);
      await until(() => table.get(link.ifindex)?.programId === program().info.id, 'it is back');
    });
  });
}

test('whoever waits for devices to be gone is told when the last of them is, before the kernel has done with it', async (t) => {
  await withTable(async ({ socket, table, until }) => {
    for (const name of ['g0', 'g1', 'stay']) createVeth(socket, { name, peer: { name: `${name}p` } });
    assert.equal(table.catchUp(), true);
    const going = ['g0', 'g1'].map((name) => requireLink(socket, name).ifindex);
    const { signal } = new AbortController();
    const startedAt = performance.now();
    const tookMs = (): string => (performance.now() - startedAt).toFixed(1);
    const gone = table.gone(going, signal).then(() => {
      assert.deepEqual(
        going.map((ifindex) => table.get(ifindex)),
        [undefined, undefined],
      );
      t.diagnostic(`told after ${tookMs()} ms`);
    });
    await deleteLinksAside(socket, going);
    t.diagnostic(`deleted after ${tookMs()} ms`);
    await gone;
    await table.gone(going, signal);
    const stop = new AbortController();
    let isTold = false;
    void table.gone([requireLink(socket, 'stay').ifindex], stop.signal).then(() => {
      isTold = true;
    });
    stop.abort();
    await deleteLinksAside(socket, ['stay']);
    await until(() => table.byName('stay') === undefined, 'the table has it no more');
    assert.equal(isTold, false);
  });
});

test('a filter of another on the way in, or ours replaced in place, is no loss', async () => {
  await withTable(async ({ netns, socket, table }) => {
    const { link } = ensureVeth(socket, { name: 'd0', peer: { name: 'd1' } });
    ensureIngressFilter(socket, link.ifindex, program());
    ensureIngressFilter(socket, link.ifindex, program());
    netns.run('tc', 'filter', 'add', 'dev', 'd0', 'ingress', 'prio', '7', 'bpf', 'bytecode', '1,6 0 0 0');
    netns.run('tc', 'filter', 'del', 'dev', 'd0', 'ingress', 'prio', '7');
    netns.run('tc', 'filter', 'add', 'dev', 'd0', 'egress', 'prio', '1', 'bpf', 'bytecode', '1,6 0 0 0');
    netns.run('tc', 'filter', 'del', 'dev', 'd0', 'egress', 'prio', '1');
    table.catchUp();
    assert.equal(table.get(link.ifindex)?.programId, program().info.id);
  });
});

test('1,000 links made at once while the loop is blocked are all seen, and so is a later one', async (t) => {
  await withTable(async ({ netns, table, until }) => {
    const script = Array.from({ length: 1000 }, (_, i) => `tuntap add dev tapb${i} mode tap`).join('\n');
    netns.run(
      'sh',
      '-c',
      `echo '${script}' > /tmp/cb-${netns.name} && (ip -batch /tmp/cb-${netns.name}; rm /tmp/cb-${netns.name}) &`,
    );
    block(300);
    const ms = await until(
      () => [...table.values()].filter(({ name }) => name.startsWith('tapb')).length === 1000,
      'all',
    );
    t.diagnostic(`all ${ms.toFixed(0)} ms after the loop was free; ${JSON.stringify(table.counters())}`);
    netns.ip('tuntap', 'add', 'later', 'mode', 'tap');
    await until(() => table.byName('later') !== undefined, 'a later one');
  });
});

test('what the kernel could not keep is read anew, counted, and later events are heard', async () => {
  const small = { receiveBytes: 64 << 10 };
  await withTable(async ({ socket, table, netns, until }) => {
    for (const round of [1, 2, 3]) {
      for (let i = 0; i < 150; i++) createVeth(socket, { name: `x${round}n${i}`, peer: { name: `y${round}n${i}` } });
      await until(() => table.byName(`y${round}n149`) !== undefined, 'the last of the burst');
      assert.equal([...table.values()].filter(({ name }) => name.startsWith(`x${round}n`)).length, 150);
      await deleteLinksAside(
        socket,
        Array.from({ length: 150 }, (_, i) => `x${round}n${i}`),
      );
      await until(() => [...table.values()].length === 1, 'all are gone');
      netns.ip('tuntap', 'add', 'later', 'mode', 'tap');
      await until(() => table.byName('later') !== undefined, 'a later one');
      netns.ip('link', 'delete', 'later');
      await until(() => table.byName('later') === undefined, 'its end');
    }
    assert.ok(table.counters().overruns >= 3, `${table.counters().overruns} overruns`);
  }, small);
});

test('links that come and go while everything is read leave the table as the kernel is', async () => {
  await withTable(async ({ socket, table, until }) => {
    for (let i = 0; i < 100; i++) createVeth(socket, { name: `s${i}`, peer: { name: `t${i}` } });
    for (let round = 0; round < 15; round++) {
      table.invalidate();
      createVeth(socket, { name: `u${round}`, peer: { name: `v${round}` } });
      await new Promise(setImmediate);
      await deleteLinksAside(socket, [`u${round}`, `s${round}`]);
      await new Promise(setImmediate);
    }
    const { fullReads } = table.counters();
    await until(() => table.counters().fullReads > fullReads || fullReads > 2, 'a full read');
    table.catchUp();
    for (let i = 0; i < 100; i++) assert.equal(table.byName(`s${i}`) !== undefined, i >= 15, `s${i}`);
    for (let i = 0; i < 15; i++) assert.equal(table.byName(`v${i}`), undefined, `v${i}`);
  });
});

test('while links come and go all the time everything is read, and what was lost is seen', async () => {
  const small = { receiveBytes: 32 << 10 };
  await withTable(async ({ netns, socket, table, until }) => {
    for (let i = 0; i < 200; i++) createVeth(socket, { name: `g${i}`, peer: { name: `h${i}` } });
    await until(() => table.byName('h199') !== undefined, 'all');
    // From another process, so that it goes on while this one reads.
    const churn = 'i=0; while :; do ip link add k$i type veth peer name l$i; ip link del k$i; i=$((i+1)); done';
    const child = spawn('nsenter', [`--net=${netns.path}`, 'sh', '-c', churn], { stdio: 'ignore' });
    try {
      const { fullReads } = table.counters();
      await deleteLinksAside(
        socket,
        Array.from({ length: 100 }, (_, i) => `g${i}`),
      );
      table.invalidate();
      await until(() => table.counters().fullReads > fullReads + 1 || table.byName('g0') === undefined, 'a full read');
      await until(() => [...table.values()].filter(({ name }) => name.startsWith('g')).length === 100, 'what is left');
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await until(() => table.catchUp() && sameNames(table, socket), 'the table is as the kernel');
  }, small);
});

function sameNames(table: LinkTable, socket: NetlinkSocket): boolean {
  const names = [...table.values()].map(({ name }) => name);
  return (
    names.sort().join() ===
    listLinks(socket)
      .map(({ name }) => name)
      .sort()
      .join()
  );
}

test('others have the loop many times while 1,000 links are read', async (t) => {
  await withTable(async ({ socket, table, until }) => {
    for (let i = 0; i < 500; i++) {
      createVeth(socket, { name: `e${i}`, peer: { name: `f${i}` } });
      if (i % 2 === 0) ensureIngressFilter(socket, requireLink(socket, `e${i}`).ifindex, program());
    }
    await until(() => table.byName('f499') !== undefined, 'all');
    const { fullReads } = table.counters();
    let round = 0;
    const rounds = new Set<number>();
    let asked = 0;
    const { get } = NetlinkSocket.prototype;
    // Our filter is asked for one device after the other; here each takes half a millisecond or more.
    t.mock.method(NetlinkSocket.prototype, 'get', function (this: NetlinkSocket, request: NetlinkRequest) {
      asked += 1;
      rounds.add(round);
      const until = performance.now() + 0.5;
      while (performance.now() < until);
      return get.call(this, request);
    });
    table.invalidate();
    for (; table.counters().fullReads === fullReads; round++) await new Promise(setImmediate);
    t.diagnostic(`${round} turns, ${rounds.size} of them for the filters of ${asked} devices`);
    // The kernel tells of some twenty links in a datagram, and one is read in a turn. So many half milliseconds make some twenty turns.
    assert.ok(round - rounds.size > 20, `${round} turns`);
    assert.ok(asked >= 250 && rounds.size >= 10, `${asked} devices in ${rounds.size} turns`);
    assert.equal([...table.values()].filter((row) => row.programId !== undefined).length, 250);
  });
});
