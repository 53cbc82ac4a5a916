import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom, silentLogger } from '@cable/kit';
import { ASK_WAIT_MS, type CapturedFrames, type FollowedFlows, type PortDrops, type TraceHop } from '@cable/model';
import { CB_REASON_RATE_QOS, cbDrop } from '../bpf/abi.gen.ts';
import { type AnswerDeps, createAnswers } from './answers.ts';
import { NO_PORT } from './tracer.ts';

const PORT = '11111111-1111-4111-8111-111111111111';
const FOLLOWED: FollowedFlows = { lease: 'a1', records: [], lost: 0 };
const CAPTURED: CapturedFrames = { lease: 'a1', frames: [], lost: 0, hasMore: false };
const HOP: TraceHop = { neighbour: null, steps: [], end: { kind: 'service' } };

function deps(more: Partial<AnswerDeps> = {}): AnswerDeps {
  return {
    slices: { keys: () => [], header: () => undefined, item: () => undefined, items: () => [] },
    planner: {
      vifs: new Map([[PORT, { portId: PORT, vif: 7, ifindex: 1, device: 'tap' }]]),
      ids: () => new Map(),
      numberOf: () => undefined,
    },
    plane: { readRaw: () => [], readCounters: () => ({ perCpu: [], drops: [], queueFull: 0 }) },
    tracer: { trace: () => ({ value: HOP }) },
    follows: { ask: () => ({ value: FOLLOWED }) },
    captures: { ask: () => ({ value: CAPTURED }) },
    monotonicMs: () => 0,
    log: silentLogger(),
    ...more,
  };
}

const PACKET = {
  ...{ source: '10.0.0.1', destination: '10.0.0.2', protocol: 1, sourcePort: 1, destinationPort: 0, icmpType: 8 },
  ...{ icmpCode: 0, bytes: 84 },
};
const ASKS: readonly Readonly<Record<string, unknown>>[] = [
  { kind: 'drops', portId: PORT },
  { kind: 'flows', portId: PORT, limit: 10, after: 0, protocol: 6, address: '10.0.0.1', port: 80, state: 'new' },
  { kind: 'follow', portId: PORT, lease: 'a1', after: 3, protocol: 6, address: '10.0.0.1', port: 80 },
  {
    kind: 'follow',
    portId: PORT,
    lease: null,
    after: 0,
    packets: { peer: '10.0.0.1', protocol: 6, peerPort: 80, ownPort: null, rate: 10 },
  },
  { kind: 'trace', isAnswer: false, from: { kind: 'port', portId: PORT, nextHop: '10.0.0.2', packet: PACKET } },
  { kind: 'trace', isAnswer: true, from: { kind: 'host', underlay: '192.0.2.1', vni: 7, frame: 'AAAA' } },
  {
    kind: 'trace',
    isAnswer: true,
    flows: ['AAAA'],
    from: { kind: 'host', underlay: '192.0.2.1', vni: 7, frame: 'AAAA' },
  },
  {
    ...{ kind: 'capture', portId: PORT, lease: 'a1', after: 3, snaplen: 128, isLast: true },
    filter: { etherType: 0x0800, protocol: 6, hosts: ['10.0.0.1', '10.0.0.2'], ports: [80] },
  },
];

test('what a server may ask is answered', async () => {
  const answer = createAnswers(deps());
  const said = await Promise.all(ASKS.map((ask) => answer(ask)));
  assert.deepEqual(said, [
    { value: { rxPackets: 0, txPackets: 0, drops: [] } },
    { value: { flows: [], total: 0, next: null } },
    { value: FOLLOWED },
    { value: FOLLOWED },
    { value: HOP },
    { value: HOP },
    { value: HOP },
    { value: CAPTURED },
  ]);
});

test('packets that a full queue dropped are counted with those over a limit', async () => {
  const row = (packets: bigint) => cbDrop.encode({ packets, lastNs: 0n });
  const drops = Array.from({ length: CB_REASON_RATE_QOS + 1 }, () => row(0n));
  const of = async (): Promise<unknown> => {
    const plane = { readRaw: () => [], readCounters: () => ({ perCpu: [], drops, queueFull: 5 }) };
    const said = await createAnswers(deps({ plane }))({ kind: 'drops', portId: PORT });
    assert.ok('value' in said);
    return (said.value as PortDrops).drops.map(({ reason, packets, lastSecondsAgo: ago }) => [
      reason.name,
      packets,
      ago === null,
    ]);
  };
  assert.deepEqual(await of(), [['rate_qos', 5, true]]);
  drops[CB_REASON_RATE_QOS] = row(2n);
  assert.deepEqual(await of(), [['rate_qos', 7, false]]);
});

test('what newer servers ask is not known; of a port that is not here nothing is', async () => {
  const answer = createAnswers(deps());
  assert.deepEqual(await answer({ kind: 'weather' }), {
    fault: { code: 'unknown', message: 'this kind of ask is not known' },
  });
  const other = PORT.replaceAll('1', '2');
  for (const kind of ['drops', 'flows'])
    assert.deepEqual(await answer({ kind, portId: other, limit: 1, after: 0 }), { fault: NO_PORT });
});

test('flows that are no list of few texts are refused', async () => {
  const answer = createAnswers(deps());
  for (const flows of ['AAAA', [1], ['a'.repeat(1025)], ['', '', '', '', '']]) {
    const said = await answer({ ...ASKS[6], flows });
    assert.ok('fault' in said && said.fault.code === 'failed' && said.fault.message.startsWith('flows '));
  }
});

test('a defect is one ask’s alone', async () => {
  const broken = deps({
    tracer: {
      trace: () => {
        throw new Error('a bug');
      },
    },
  });
  const answer = createAnswers(broken);
  const [, , , , ask = {}] = ASKS;
  assert.deepEqual(await answer(ask), { fault: { code: 'failed', message: 'the agent failed: see its log' } });
  assert.ok('value' in (await answer(ASKS[0] ?? {})));
});

test('only so much is worked on at once', async () => {
  const answer = createAnswers(deps());
  const said = await Promise.all(Array.from({ length: 100 }, () => answer(ASKS[0] ?? {})));
  assert.deepEqual([said.filter((one) => 'value' in one).length, said.length], [64, 100]);
  assert.ok('value' in (await answer(ASKS[0] ?? {})), 'later there is room again');
});

test('what nobody waits for any more is passed over, so that what comes is answered in time', async () => {
  let now = 0;
  const trace = () => {
    now += ASK_WAIT_MS / 4;
    return { value: HOP };
  };
  const answer = createAnswers(deps({ tracer: { trace }, monotonicMs: () => now }));
  const said = await Promise.all(Array.from({ length: 10 }, () => answer(ASKS[4] ?? {})));
  assert.deepEqual(
    said.map((one) => 'value' in one),
    [true, true, true, true, ...Array<boolean>(6).fill(false)],
  );
  assert.ok('value' in (await answer(ASKS[4] ?? {})));
});

/** A value that JSON can have, of any shape. */
function junk(random: () => number, depth = 0): unknown {
  const values = [null, true, -1, 0, 1.5, 2 ** 60, 65_536, '', 'x', PORT, '10.0.0.1', '::', '::ffff:1.2.3.4', 'new'];
  const pick = Math.floor(random() * (values.length + 2));
  if (pick < values.length || depth > 3) return values[pick % values.length];
  if (pick === values.length) return [junk(random, depth + 1)];
  return { kind: junk(random, depth + 1), constructor: junk(random, depth + 1) };
}

/** The same ask with one value somewhere in it replaced or left out. */
function spoiled(ask: Readonly<Record<string, unknown>>, random: () => number): Readonly<Record<string, unknown>> {
  const names = Object.keys(ask);
  const name = names[Math.floor(random() * names.length)] ?? '';
  const inner = ask[name];
  if (typeof inner === 'object' && inner !== null && random() < 0.7)
    return { ...ask, [name]: spoiled(inner as Readonly<Record<string, unknown>>, random) };
  const { [name]: _, ...rest } = ask;
  return random() < 0.2 ? rest : { ...ask, [name]: junk(random) };
}

test('whatever is asked is answered or refused, and a refusal says what is wrong', async () => {
  const random = seededRandom(11);
  let refused = 0;
  const answer = createAnswers(deps());
  for (let n = 0; n < 10_000; n += 1) {
    const ask = spoiled(ASKS[n % ASKS.length] ?? {}, random);
    const said = await answer(ask);
    if (!('fault' in said)) continue;
    assert.ok(
      said.fault.code === 'no-port' || said.fault.message !== 'the agent failed: see its log',
      JSON.stringify(ask),
    );
    refused += 1;
  }
  assert.ok(refused > 5000, `${refused} were refused`);
});
