import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { Store } from '@cable/store';
import { startTestEtcd } from '../hosts/etcd.fixture.ts';
import { readAsked } from '../http/asked.ts';
import { objectKey } from '../keys.ts';
import { listen } from '../listen.ts';
import type { CableServer } from '../server.ts';
import { startTestServer } from '../testing/harness.ts';
import { Repeats } from './repeats.ts';
import { ADMIN } from './testing/door.fixture.ts';
import { createPlugin, type Plugin, type UserAnswer } from './testing/plugin.ts';

const REQUEST = { ...ADMIN, request_id: 'req-5f0c' };

type When = 'before' | 'after';

type Held = { readonly count: () => number; letGo(): void };

/** A server on the store. `hold`: what it makes from now on waits before it is written, or afterwards, until it is let go. `cut`: its connections end. */
type Member = {
  readonly server: CableServer;
  readonly url: URL;
  hold(when: When): Held;
  cut(): void;
  stop(): Promise<void>;
};

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `in vain: ${what}`);
    await sleep(5);
  }
}

async function startMember(real: Store): Promise<Member> {
  let waiting: (() => void)[] | undefined;
  let holds: When = 'after';
  const letGo = (): void => {
    for (const go of waiting?.splice(0) ?? []) go();
    waiting = undefined;
  };
  const store: Store = new Proxy(real, {
    get: (target, name) => {
      const value = Reflect.get(target, name) as unknown;
      if (name !== 'txn') return typeof value === 'function' ? value.bind(target) : value;
      return async (...args: Parameters<Store['txn']>) => {
        const isObject = args[1].some((op) => 'key' in op && op.key.startsWith('/cable/o/network/'));
        const wait = async (when: When): Promise<void> => {
          if (waiting !== undefined && isObject && when === holds)
            await new Promise<void>((resolve) => waiting?.push(resolve));
        };
        await wait('before');
        const result = await target.txn(...args);
        await wait('after');
        return result;
      };
    },
  });
  const server = await startTestServer(store);
  const handler = { request: server.app.routing.bind(server.app), upgrade: () => undefined };
  const listeners = await listen(handler, [{ kind: 'tcp', host: '127.0.0.1', port: 0 }]);
  const relay = await startRelay(new URL(listeners.urls[0] ?? ''));
  const stop = async (): Promise<void> => {
    letGo();
    relay.stop();
    const closed = listeners.stop();
    await server.stop();
    await closed;
    await real.close();
  };
  const hold = (when: When): Held => {
    waiting = [];
    holds = when;
    return { count: () => waiting?.length ?? 0, letGo };
  };
  return { server, url: relay.url, hold, cut: relay.cut, stop };
}

async function startRelay(target: URL): Promise<{ readonly url: URL; cut(): void; stop(): void }> {
  const sockets = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(one);
          other.destroy();
        });
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const { port } = relay.address() as { port: number };
  const stop = (): void => {
    relay.close();
    cut();
  };
  return { url: new URL(`http://127.0.0.1:${port}`), cut, stop };
}

type World = { readonly first: Member; readonly second: Member; readonly plugin: Plugin; readonly store: Store };

/** The plug-in asks the first, then the second, then the first. */
async function startWorld(t: TestContext): Promise<World> {
  const etcd = await startTestEtcd();
  const store = await etcd.open();
  const [first, second] = [await startMember(await etcd.open()), await startMember(await etcd.open())];
  t.after(async () => {
    await Promise.all([first.stop(), second.stop(), store.close()]);
    await etcd.remove();
  });
  return { first, second, plugin: createPlugin({ servers: [first.url, second.url] }), store };
}

async function networksOf({ store }: World): Promise<readonly string[]> {
  return (await store.list('/cable/o/network/')).kvs.map(({ key }) => key.slice('/cable/o/network/'.length)).sort();
}

function idOf(answer: UserAnswer): string {
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return String(answer.body['id']);
}

const NAMED = { name: 'net', tenant_id: ADMIN.tenant_id };

test('a create that is made and not answered is answered by the next server with what was made', async (t) => {
  const world = await startWorld(t);
  const { first, plugin } = world;
  const held = first.hold('after');
  const creating = plugin.create('network', REQUEST, NAMED);
  await until('it is made', () => held.count() === 1);
  first.cut();
  const id = idOf(await creating);
  held.letGo();
  assert.deepEqual(await networksOf(world), [id]);
  // The one that follows is another: the one before was answered.
  const other = idOf(await plugin.create('network', REQUEST, NAMED));
  assert.deepEqual(await networksOf(world), [id, other].sort());
});

test('one that was not made yet is made once, by the next server', async (t) => {
  const world = await startWorld(t);
  const { first, plugin } = world;
  const held = first.hold('before');
  const creating = plugin.create('network', REQUEST, NAMED);
  await until('it is about to be made', () => held.count() === 1);
  first.cut();
  const id = idOf(await creating);
  held.letGo();
  await until('the first server is done', () => first.server.deps.reservations.size === 0);
  assert.deepEqual(await networksOf(world), [id]);
});

test('equal creates of one request, one after another at two servers, make an object each', async (t) => {
  const world = await startWorld(t);
  const ids: string[] = [];
  for (let n = 0; n < 12; n += 1) ids.push(idOf(await world.plugin.create('network', REQUEST, NAMED)));
  assert.equal(new Set(ids).size, 12);
  assert.deepEqual(await networksOf(world), ids.sort());
});

test('who says nothing of a request makes an object each time; so does another request, another user, another text', async (t) => {
  const world = await startWorld(t);
  const { first, plugin } = world;
  const { request_id: _, ...silent } = REQUEST;
  const others = [
    { ...REQUEST, request_id: 'req-2' },
    { ...REQUEST, user_id: 'u9' },
  ] as const;
  const held = first.hold('after');
  const creating = plugin.create('network', REQUEST, NAMED);
  await until('it is made', () => held.count() === 1);
  const alone = createPlugin({ servers: [world.second.url] });
  const ids = [
    idOf(await alone.create('network', silent, NAMED)),
    idOf(await alone.create('network', silent, NAMED)),
    idOf(await alone.create('network', REQUEST, { ...NAMED, name: 'other' })),
  ];
  for (const context of others) ids.push(idOf(await alone.create('network', context, NAMED)));
  held.letGo();
  ids.push(idOf(await creating));
  assert.equal(new Set(ids).size, 6);
  assert.deepEqual(await networksOf(world), ids.sort());
});

test('a server that made it and says no more is waited for, and then taken for dead', async (t) => {
  const etcd = await startTestEtcd();
  const store = await etcd.open();
  t.after(async () => {
    await store.close();
    await etcd.remove();
  });
  let nowMs = 0;
  let looks = 0;
  const monotonicMs = (): number => {
    looks += 1;
    return nowMs;
  };
  const repeats = new Repeats({ store, log: silentLogger(), monotonicMs, waitMs: 1000 });
  const sent = {
    ...{ type: 'network', requestId: 'r', said: { name: 'n' }, idOf: (key: string) => key },
    asked: { isGone: false, signal: new AbortController().signal },
  };
  const reply = (): Reply => Object.assign(new EventEmitter(), { writableFinished: false, statusCode: 200 }) as Reply;
  const key = await repeats.begin(sent, reply());
  await store.txn([], [{ kind: 'put', key: objectKey('network', key), value: '{}' }]);
  let isDone = false;
  const repeated = repeats.begin(sent, reply()).finally(() => {
    isDone = true;
  });
  await until('it looks several times', () => looks > 5);
  assert.equal(isDone, false);
  nowMs = 1000;
  assert.equal(await repeated, key);
  // An error made nothing, and counts for nothing; an answer counts.
  await store.txn([], [{ kind: 'delete', key: objectKey('network', key) }]);
  const failing = reply();
  assert.equal(await repeats.begin(sent, failing), key);
  Object.assign(failing, { writableFinished: true, statusCode: 400 }).emit('close');
  await repeats.settled();
  const answered = reply();
  assert.equal(await repeats.begin(sent, answered), key);
  Object.assign(answered, { writableFinished: true }).emit('close');
  await repeats.settled();
  assert.notEqual(await repeats.begin(sent, reply()), key);
});

test('no client may bring a key that the door makes', async () => {
  const store = { get: async () => undefined, txn: async () => ({ ok: true, revision: 1 }) } as unknown as Store;
  const repeats = new Repeats({ store, log: silentLogger(), monotonicMs: () => 0 });
  const asked = { signal: new AbortController().signal, isGone: false };
  const sent = { type: 'network', requestId: 'req-1', said: {}, idOf: (key: string) => key, asked };
  const reply = Object.assign(new EventEmitter(), { writableFinished: false, statusCode: 200 }) as Reply;
  const key = await repeats.begin(sent, reply);
  assert.throws(() => readAsked({ 'idempotency-key': key }, 0), { code: 'HTTPBadRequest' });
});

type Reply = Parameters<Repeats['begin']>[1];
