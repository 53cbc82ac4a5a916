import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { CbCarry } from '../bpf/abi.gen.ts';
import type { PassResult } from './carry-programs.ts';
import { writeLine } from './flow-lines.ts';
import { type PassedFlow, passedRow } from './passed-flow.ts';
import { RouterTaker, type RouterTakerDeps } from './router-taker.ts';
import { PASSED_EXAMPLE } from './testing.ts';

const ID = 'd0000000-0000-4000-8000-000000000001';
const ACTIVE = '192.0.2.1';
/** Address of a guest of this host. */
const OWN = '10.0.0.77';
const NETWORKS = { external: 9, transit: 8, inner: 7 };

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let n = 0; n < 6000; n += 1) {
    if (holds()) return;
    await sleep(10);
  }
  assert.fail(`in vain: ${what}`);
}

function build(t: { after(call: () => void): void }, sessions: readonly (readonly string[])[]) {
  const end = new AbortController();
  t.after(() => end.abort());
  const place: { isHere: boolean; from: string | null; isKnown: boolean } = {
    isHere: false,
    from: ACTIVE,
    isKnown: true,
  };
  const put: { readonly rows: readonly CbCarry[]; readonly standsBy: boolean; readonly session: number }[] = [];
  const [dropped, turned, left, asked]: [number[], CbCarry[], number[], string[]] = [[], [], [], []];
  /** As they are in the table of the gateway's host. */
  const turnedBack: CbCarry[] = [];
  const isOwn = ({ tuple, vif }: CbCarry): boolean => tuple[vif[0] === 1 ? 0 : 1]?.src.at(-1) === 77;
  const carry = {
    followRouter: () => undefined,
    passOn: (rows: readonly CbCarry[], how: { session: number; standsBy: boolean }): PassResult => {
      put.push({ rows, ...how });
      const here = rows.flatMap((row, at) => (isOwn(row) ? at : []));
      const made = rows.length - here.length;
      return { made, renewed: 0, present: 0, refused: 0, ended: 0, here, unready: 0 };
    },
    dropOthers: (_router: number, session: number) => dropped.push(session),
    takeGateway: (rows: readonly CbCarry[]) => {
      turned.push(...rows);
      return rows.length;
    },
    leaveGateways: (routers: readonly number[]) => {
      left.push(...routers);
      return turnedBack.map((row) => ({ ...row, router: 3 }));
    },
  };
  const deps: RouterTakerDeps = {
    carry: () => carry,
    places: {
      get: () => (place.isKnown ? { ...place, number: 3, gateway: {} as never, others: new Set<string>() } : undefined),
      addresses: () => [],
      hasAddress: (_id, address) => address === '203.0.113.2',
      networks: () => (place.isKnown ? NETWORKS : undefined),
      external: () => NETWORKS.external,
    },
    ask: async function* (host, path, signal) {
      asked.push(`${host} ${path}`);
      yield [...(sessions[asked.length - 1] ?? [])].map((line) => line.trimEnd());
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
    waits: () => ({ next: () => 5, reset: () => undefined }),
    session: () => asked.length + 1,
    log: silentLogger(),
    signal: end.signal,
  };
  const taker = new RouterTaker(deps);
  const move = (moves: { came?: string[]; left?: string[] } = {}): void =>
    taker.take({ came: [], left: [], changed: [ID], ...moves });
  return { taker, move, place, put, dropped, turned, turnedBack, left, asked };
}

const HELLO = writeLine({ type: 'hello', version: 1 });
const WHOLE = writeLine({ type: 'whole' });
const line = (over: Partial<PassedFlow> = {}): string =>
  writeLine({ type: 'passed', flow: { ...PASSED_EXAMPLE, ...over } });
const own = (over: Partial<PassedFlow> = {}): string => line({ inside: { address: OWN, port: 5 }, ...over });

test('flows of the router are put in, others refused, and what is left of before is dropped when all have come', async (t) => {
  const foreign = line({ outside: { address: '203.0.113.9', port: 1 } });
  const { taker, move, put, dropped, asked } = build(t, [[HELLO, line(), foreign, WHOLE, line()]]);
  move();
  await eventually('all has come', () => taker.status.made === 2);
  assert.deepEqual(asked, [`${ACTIVE} router/${ID}`]);
  assert.deepEqual([taker.status.refused, dropped.length], [1, 1]);
  assert.ok(put.every(({ standsBy, session }) => standsBy && session === dropped[0]));
  move();
  assert.equal(taker.status.routers, 1);
  assert.equal(asked.length, 1, 'it goes on');
});

test('connections of own guests wait, and get the router’s address when the gateway comes', async (t) => {
  const over = own({ peer: { address: '198.51.100.8', port: 1 }, state: 'closed', expiresMs: 0 });
  const other = own({ peer: { address: '198.51.100.8', port: 1 } });
  const { taker, move, place, turned, put } = build(t, [[HELLO, own(), other, WHOLE, own(), over, line()]]);
  move();
  await eventually('all has come', () => taker.status.made === 1);
  assert.deepEqual([taker.status.waiting, turned.length], [1, 0]);
  place.isHere = true;
  move({ came: [ID] });
  assert.deepEqual([taker.status.waiting, turned.length, taker.status.turned], [0, 1, 1]);
  assert.ok(put.every(({ standsBy }) => standsBy));
});

test('once the gateway is here what still comes is of less account, and turns own connections at once', async (t) => {
  const { taker, move, place, put, dropped, turned } = build(t, [[HELLO, line(), own(), WHOLE]]);
  place.isHere = true;
  move();
  await eventually('all has come', () => taker.status.made === 1);
  assert.deepEqual([put[0]?.standsBy, dropped.length, turned.length], [false, 0, 1]);
  assert.equal(taker.status.waiting, 0);
});

/** The row of a connection that an own guest has by the gateway here. */
function heldRow(over: Partial<PassedFlow> = {}): CbCarry {
  const row = passedRow({ ...PASSED_EXAMPLE, inside: { address: OWN, port: 5 }, ...over }, NETWORKS);
  const nets = row.vif[0] === 1 ? [NETWORKS.inner, NETWORKS.external] : [NETWORKS.external, NETWORKS.inner];
  return { ...row, tuple: row.tuple.map((tuple, at) => ({ ...tuple, net: nets[at] ?? 0 })) };
}

test('own connections that a gateway which leaves has turned back get the address again when it comes back before anything was told', (t) => {
  const { taker, move, place, turned, turnedBack } = build(t, []);
  place.isHere = true;
  place.from = null;
  move();
  turnedBack.push(heldRow());
  for (let n = 1; n <= 3; n += 1) {
    Object.assign(place, { isHere: false, from: ACTIVE });
    move({ left: [ID] });
    assert.equal(taker.status.waiting, 1);
    Object.assign(place, { isHere: true, from: null });
    move({ came: [ID] });
    assert.deepEqual([taker.status.waiting, turned.length], [0, n]);
  }
  const [first] = turned;
  assert.ok(first);
  assert.deepEqual(
    first.tuple.map(({ src, dst }) => [src, dst]),
    heldRow().tuple.map(({ src, dst }) => [src, dst]),
  );
});

test('of those only what the other gateway has told counts, once it has told all', async (t) => {
  const gone = { address: '198.51.100.8', port: 1 };
  const { taker, move, place, turned, turnedBack } = build(t, [[HELLO, own(), line(), WHOLE]]);
  turnedBack.push(heldRow(), heldRow({ peer: gone }));
  move({ left: [ID] });
  assert.equal(taker.status.waiting, 2);
  await eventually('all has come', () => taker.status.made === 1 && taker.status.waiting === 1);
  place.isHere = true;
  move({ came: [ID] });
  assert.equal(turned.length, 1);
});

test('a gateway that leaves turns its own guests’ connections back; of a router that is no more nothing is kept', async (t) => {
  const { taker, move, place, left } = build(t, [[HELLO, own(), WHOLE, line()]]);
  move();
  await eventually('all has come', () => taker.status.made === 1);
  move({ left: [ID] });
  assert.deepEqual(left, [3]);
  place.from = null;
  place.isKnown = false;
  move();
  assert.deepEqual([taker.status.routers, taker.status.waiting], [0, 0]);
});
