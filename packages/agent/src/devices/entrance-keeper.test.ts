import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from '../guest/testing/own-namespace.ts';
import { deleteTable, readElements, readTable } from '../net/nft.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { type Entrance, entranceKey } from '../plan/entrances.ts';
import { EntranceKeeper, removeEntrances } from './entrance-keeper.ts';

const TABLE = { family: 'inet', name: 'cable-services' } as const;
const LINK = 'cb01234567-89';

let socket: NetlinkSocket;

before(() => {
  enterOwnNamespace();
  socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
});

after(() => socket.close());

function entrance(port: number, address = '10.96.0.10', more: Partial<Entrance> = {}): Entrance {
  return { protocol: 'TCP', ipVersion: address.includes(':') ? 6 : 4, port, to: { address, port: 80 }, ...more };
}

function wanted(...all: readonly Entrance[]): ReadonlyMap<string, Entrance> {
  return new Map(all.map((one) => [entranceKey(one), one]));
}

/** Elements of a map, as hex, sorted. */
function elements(version: 4 | 6): readonly string[] {
  return (readElements(socket, TABLE, `node-ports-${version}`) ?? [])
    .map(({ key, value }) => `${Buffer.from(key).toString('hex')} ${Buffer.from(value ?? []).toString('hex')}`)
    .sort();
}

async function becomes<T>(look: () => T, holds: (found: T) => boolean): Promise<T> {
  for (let waited = 0; ; waited += 5) {
    const found = look();
    if (holds(found) || waited > 10_000) return found;
    await sleep(5);
  }
}

/** A keeper, as of one agent; ends with the agent. */
async function withKeeper(
  links: () => readonly string[],
  run: (keeper: EntranceKeeper) => Promise<void>,
  isOpen = false,
): Promise<void> {
  const stop = new AbortController();
  const keeper = new EntranceKeeper({ nodeLinks: links, isOpen, log: silentLogger(), signal: stop.signal });
  try {
    await run(keeper);
  } finally {
    stop.abort();
  }
}

const HTTP = '0600000075800000 0a60000a00500000';
const DNS = '1100000075810000 0a60000b00350000';

test('entrances come, lead elsewhere, and go once all that is wanted is known; the next agent changes only what differs', async () => {
  const dns = entrance(30_081, '10.96.0.11', { protocol: 'UDP', to: { address: '10.96.0.11', port: 53 } });
  const http = entrance(30_080);
  await withKeeper(
    () => [LINK],
    async (keeper) => {
      keeper.take({ all: wanted(http, dns, entrance(30_080, 'fd96::a')), changed: new Set(), isWhole: true });
      assert.deepEqual(
        await becomes(
          () => elements(4),
          ({ length }) => length === 2,
        ),
        [HTTP, DNS],
      );
      const six = '0600000075800000 fd96000000000000000000000000000a00500000';
      assert.deepEqual(
        await becomes(
          () => elements(6),
          ({ length }) => length === 1,
        ),
        [six],
      );
      const moved = entrance(30_080, '10.96.0.12');
      keeper.take({
        all: wanted(moved, dns),
        changed: new Set([entranceKey(http), entranceKey(entrance(30_080, 'fd96::a'))]),
        isWhole: true,
      });
      const other = '0600000075800000 0a60000c00500000';
      assert.deepEqual(
        await becomes(
          () => elements(4),
          ([one]) => one === other,
        ),
        [other, DNS],
      );
      assert.deepEqual(elements(6), []);
      deleteTable(socket, TABLE);
      assert.deepEqual(
        await becomes(
          () => elements(4),
          ({ length }) => length === 2,
        ),
        [other, DNS],
        'put back',
      );
    },
  );
  await withKeeper(
    () => ['cb76543210-89'],
    async (keeper) => {
      keeper.take({ all: wanted(http), changed: new Set(), isWhole: false });
      assert.deepEqual(
        await becomes(
          () => elements(4),
          ([one]) => one === HTTP,
        ),
        [HTTP, DNS],
        'nothing goes yet',
      );
      const rules = await becomes(
        () => readTable(socket, TABLE)?.rules ?? [],
        (found) => found.some((one) => one.includes('cb76543210')),
      );
      assert.ok(!rules.some((one) => one.includes(LINK)), String(rules));
      keeper.take({ all: wanted(http), changed: new Set(), isWhole: true });
      assert.deepEqual(
        await becomes(
          () => elements(4),
          ({ length }) => length === 1,
        ),
        [HTTP],
      );
    },
  );
  assert.equal(removeEntrances(socket), true);
  assert.equal(removeEntrances(socket), false);
});

test('thousands of them are there, and a host that is no node has no table', async () => {
  let links: readonly string[] = [LINK];
  await withKeeper(
    () => links,
    async (keeper) => {
      const many = Array.from({ length: 2500 }, (_, n) => entrance(20_000 + n));
      keeper.take({ all: wanted(...many), changed: new Set(), isWhole: true });
      assert.equal(
        (
          await becomes(
            () => elements(4),
            ({ length }) => length === 2500,
          )
        ).length,
        2500,
      );
      links = [];
      keeper.check();
      assert.equal(
        await becomes(
          () => readTable(socket, TABLE),
          (found) => found === undefined,
        ),
        undefined,
      );
    },
  );
});

test('an address of a Service is let in, where it says so from some prefixes alone', async () => {
  const { keys, stop } = keep();
  const open = entrance(80, '10.96.0.10', { address: '198.51.100.20' });
  const sources = ['192.0.2.0/24', '10.0.0.0/8', '10.1.0.0/16'];
  keys.take({ all: wanted(open), changed: new Set(), isWhole: true });
  const place = 'c6336414 06000000 00500000'.replaceAll(' ', '');
  assert.deepEqual(
    await becomes(
      () => inMap('to-4'),
      ({ length }) => length === 1,
    ),
    [`${place} `],
  );
  const some = { ...open, sources };
  keys.take({ all: wanted(some), changed: new Set([entranceKey(open)]), isWhole: true });
  const from = await becomes(
    () => inMap('from-4'),
    ({ length }) => length > 0,
  );
  assert.deepEqual(from, [`${place}0a000000 ${place}0affffff`, `${place}c0000200 ${place}c00002ff`]);
  assert.deepEqual([inMap('to-4'), inMap('guarded-4')], [[], [`${place} `]]);
  // One that overlaps another of before, with another beginning.
  const inside = { ...open, sources: ['10.1.0.0/16'] };
  keys.take({ all: wanted(inside), changed: new Set([entranceKey(open)]), isWhole: true });
  assert.deepEqual(
    await becomes(
      () => inMap('from-4'),
      ({ length }) => length === 1,
    ),
    [`${place}0a010000 ${place}0a01ffff`],
  );
  const other = { ...open, sources: ['192.0.2.0/25'] };
  keys.take({ all: wanted(other), changed: new Set([entranceKey(open)]), isWhole: true });
  const narrower = await becomes(
    () => inMap('from-4'),
    ([one = '', ...more]) => one.includes('c0000200') && more.length === 0,
  );
  assert.deepEqual(narrower, [`${place}c0000200 ${place}c000027f`]);
  deleteTable(socket, TABLE);
  assert.deepEqual(
    await becomes(
      () => inMap('from-4'),
      ({ length }) => length === 1,
    ),
    narrower,
    'put back',
  );
  stop();
  assert.equal(removeEntrances(socket), true);
});

function keep(): { readonly keys: EntranceKeeper; readonly stop: () => void } {
  const stop = new AbortController();
  const keys = new EntranceKeeper({ nodeLinks: () => [LINK], log: silentLogger(), signal: stop.signal });
  return { keys, stop: () => stop.abort() };
}

/** Keys of a map, each with the last of its range. */
function inMap(map: string): readonly string[] {
  const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
  return (readElements(socket, TABLE, map) ?? []).map(({ key, end }) => `${hex(key)} ${hex(end)}`).sort();
}

/** Whether one of two pings is answered. */
function answers({ pid }: HeldNamespace, address: string, from?: string): boolean {
  const source = from === undefined ? [] : ['-I', from];
  const ping = ['ping', '-q', '-c', '2', '-i', '0.1', '-W', '1', ...source, address];
  try {
    execFileSync('nsenter', ['-t', String(pid), '-n', ...ping], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Packets that rules with such a comment have dropped. */
function dropped(comment: RegExp): number {
  const packets = readTable(socket, TABLE)?.packets ?? new Map<string, number>();
  return [...packets].reduce((sum, [one, count]) => (comment.test(one) ? sum + count : sum), 0);
}

test('whoever is on the wire of a node comes into the cluster by entrances alone, and with no address of it', async (t) => {
  const [pods, wire] = [await holdNamespace(), await holdNamespace()];
  t.after(() => Promise.all([pods.end(), wire.end()]));
  for (const [link, peer, own, other] of [
    [LINK, pods, '10.244.0.1/16', '10.244.0.2/16'],
    ['wire0', wire, '203.0.113.1/24', '203.0.113.2/24'],
  ] as const) {
    ip(`link add ${link} up type veth peer name eth0 netns ${peer.pid}`);
    ip(`address add ${own} dev ${link}`);
    ip(`address add ${other} dev eth0`, peer.pid);
    ip('link set eth0 up', peer.pid);
    ip(`route add default via ${own.replace(/\/.*/, '')}`, peer.pid);
    writeFileSync(`/proc/sys/net/ipv4/conf/${link}/rp_filter`, '0');
  }
  writeFileSync('/proc/sys/net/ipv4/conf/all/rp_filter', '0');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  ip('address add 10.244.0.9/32 dev eth0', wire.pid);
  assert.equal(answers(wire, '10.244.0.2'), true, 'without the table');
  const made = { all: wanted(entrance(30_080)), changed: new Set<string>(), isWhole: true };
  const isThere = (): Promise<unknown> =>
    becomes(
      () => elements(4),
      ({ length }) => length === 1,
    );
  await withKeeper(
    () => [LINK],
    async (keeper) => {
      keeper.take(made);
      await isThere();
      assert.equal(answers(wire, '10.244.0.2'), false);
      assert.ok(dropped(/only what is for an entrance/) >= 2);
      // Whatever else on the node keeps no connections.
      const untracked = 'type filter hook prerouting priority -300\niifname "wire0" notrack';
      execFileSync('nft', ['-f', '-'], { input: `table ip untracked {\nchain early {\n${untracked}\n}\n}\n` });
      assert.equal(answers(wire, '10.244.0.2'), false);
      execFileSync('nft', ['delete table ip untracked']);
      assert.ok(dropped(/what is of no connection/) >= 2);
      assert.equal(answers(pods, '203.0.113.2'), true, 'answers come in');
      assert.equal(answers(wire, '203.0.113.1'), true, 'what is for the host itself is its own business');
      assert.equal(dropped(/do not come from elsewhere/), 0);
      assert.equal(answers(wire, '203.0.113.1', '10.244.0.9'), false);
      assert.ok(dropped(/do not come from elsewhere/) >= 2);
      // Somebody takes a rule's place under its comment.
      const before = readTable(socket, TABLE)?.shape;
      const list = execFileSync('nft', ['-a', 'list', 'chain', 'inet', 'cable-services', 'passing'], {
        encoding: 'utf8',
      });
      const [, handle = ''] = /# handle (\d+)\n\t}/.exec(list) ?? [];
      const comment = `"${LINK}: only what is for an entrance comes into the cluster"`;
      const words = [
        'replace',
        'rule',
        'inet',
        'cable-services',
        'passing',
        'handle',
        handle,
        'accept',
        'comment',
        comment,
      ];
      execFileSync('nft', [words.join(' ')]);
      assert.equal(
        await becomes(
          () => readTable(socket, TABLE)?.shape,
          (shape) => shape === before,
        ),
        before,
        'it is put right',
      );
    },
  );
  await withKeeper(
    () => [LINK],
    async (keeper) => {
      keeper.take(made);
      await becomes(
        () =>
          dropped(/only what is for an entrance/) === 0 &&
          !readTable(socket, TABLE)?.rules.some((one) => one.startsWith('passing')),
        (found) => found,
      );
      assert.equal(answers(wire, '10.244.0.2'), true, 'where the operator opens it');
    },
    true,
  );
  removeEntrances(socket);
});
