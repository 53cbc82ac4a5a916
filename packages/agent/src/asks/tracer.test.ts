import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { TraceHop, TracePacket, TraceStart } from '@cable/model';
import {
  CB_DELIVER_FLOOD,
  CB_DELIVER_FRAGMENTER,
  CB_DELIVER_UPLINK,
  CB_DELIVER_VIF,
  CB_DIR_EGRESS,
  CB_DIR_INGRESS,
  CB_FLOOD_TUNNEL,
  CB_FLOOD_VIF,
  CB_STEP_COPY,
  CB_STEP_DESTINATION_BECOMES,
  CB_STEP_ENDPOINT,
  CB_STEP_MEMBER,
  CB_STEP_NEIGHBOUR,
  CB_STEP_PASSED_OVER,
  CB_STEP_SEEK,
  CB_STEP_SOURCE_BECOMES,
  CB_STEP_WAIT,
  type CbStep,
  cbTraceFlow,
} from '../bpf/abi.gen.ts';
import { parseAddress } from '../plan/address.ts';
import type { IdKind } from '../plan/inputs.ts';
import type { ListedSlices } from '../show/names.ts';
import { endsOf, packetFrame } from './frames.ts';
import type { RawTrace, TraceInput } from './trace-programs.ts';
import { Tracer, type TracerDeps } from './tracer.ts';

const IDS: Partial<Record<IdKind, ReadonlyMap<string, number>>> = {
  vif: new Map([['p', 7]]),
  network: new Map([['n', 3]]),
  tunnel: new Map([['192.0.2.7', 9]]),
};
const ADDRESS = '203.0.113.2';
const addr = parseAddress(ADDRESS) ?? new Uint8Array(16);

function step(kind: number, values: Partial<CbStep> = {}): CbStep {
  return { kind, id: 0, a: 0, b: 0, addr: new Uint8Array(16), ...values };
}

/** What is said of a packet from another host with which the programs do this. */
function traced(
  raw: Partial<RawTrace>,
  { flows, seen = () => {} }: { flows?: readonly string[]; seen?: (input: TraceInput) => void } = {},
): TraceHop {
  const nothing = {
    steps: [],
    began: undefined,
    ifindex: 1,
    deliver: CB_DELIVER_UPLINK,
    wire: 0,
    remote: 0,
    reason: 0,
  };
  const tracer = new Tracer({
    host: 'h1',
    slices: { keys: () => [], header: () => undefined, item: () => undefined, items: () => [] },
    planner: {
      vifs: new Map(),
      ids: (kind) => IDS[kind] ?? new Map(),
      numberOf: () => undefined,
      denierOf: () => undefined,
    },
    load: () => ({
      run: (input) => {
        seen(input);
        return { ...nothing, frame: new Uint8Array(60), ...raw };
      },
      close: () => {},
    }),
    log: silentLogger(),
  });
  const from = { kind: 'host', underlay: '192.0.2.7', vni: 1, frame: Buffer.alloc(60).toString('base64') } as const;
  const said = tracer.trace({
    kind: 'trace',
    isAnswer: flows !== undefined,
    from,
    ...(flows === undefined ? {} : { flows }),
  });
  tracer.close();
  assert.ok('value' in said);
  return said.value;
}

test('steps of translation, load balancers, physical networks and limits are told', () => {
  const { steps } = traced({
    steps: [
      step(CB_STEP_MEMBER, { id: 4 }),
      step(CB_STEP_SOURCE_BECOMES, { addr, a: 2048 }),
      step(CB_STEP_DESTINATION_BECOMES, { addr }),
      step(CB_STEP_NEIGHBOUR, { id: 3, a: 1, addr }),
      step(CB_STEP_SEEK, { id: 3, addr }),
      step(CB_STEP_WAIT, { id: 7, a: CB_DIR_INGRESS }),
      step(CB_STEP_WAIT, { id: 7, a: CB_DIR_EGRESS }),
      step(CB_STEP_COPY, { id: 7, a: CB_FLOOD_VIF }),
      step(CB_STEP_COPY, { id: 9, a: CB_FLOOD_TUNNEL }),
      step(CB_STEP_COPY),
      step(CB_STEP_PASSED_OVER, { id: 3 }),
      step(CB_STEP_PASSED_OVER, { id: 2, a: 1 }),
      step(99),
    ],
  });
  const copy = { kind: 'copy', portId: null, underlay: null, passed: true, isOutside: false };
  assert.deepEqual(steps, [
    { kind: 'member' },
    { kind: 'translation', of: 'source', address: ADDRESS, port: 2048 },
    { kind: 'translation', of: 'destination', address: ADDRESS, port: null },
    { kind: 'outside', networkId: 'n', address: ADDRESS, isKnown: true },
    { kind: 'seek', networkId: 'n', address: ADDRESS },
    { kind: 'limit', direction: 'ingress' },
    { kind: 'limit', direction: 'egress' },
    { ...copy, portId: 'p' },
    { ...copy, underlay: '192.0.2.7' },
    { ...copy, isOutside: true },
    { kind: 'passed-over', count: 3, isReport: false },
    { kind: 'passed-over', count: 2, isReport: true },
  ]);
});

test('what a packet would begin is handed back for its answer, and what is of another build is passed over', () => {
  const key = { src: addr, dst: addr, sportBe: 1, dportBe: 2, net: 3, protocol: 6 };
  const began = { tuple: [key, { ...key, net: 4 }], vif: 7, member: 9, served: 0 };
  const text = Buffer.from(cbTraceFlow.encode(began)).toString('base64');
  assert.equal(traced({ began }).began, text);
  assert.equal(traced({}).began, null);
  const given: TraceInput[] = [];
  traced({}, { flows: [text, 'AAAA', ''], seen: (input) => given.push(input) });
  assert.deepEqual(given[0]?.flows, [began]);
});

test('the packet that a port is given is told', () => {
  const macs = { from: Buffer.alloc(6), to: Buffer.alloc(6) };
  const packet = { source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 7, destinationPort: 8, protocol: 17 };
  const rest = { icmpType: 8, icmpCode: 0, bytes: 84 };
  const given = (more: Partial<TracePacket>): unknown => {
    const frame = packetFrame(macs, { ...packet, ...rest, ...more }, false);
    const { end } = traced({ deliver: CB_DELIVER_VIF, frame });
    return end?.kind === 'port' ? end.packet : undefined;
  };
  const { protocol: _, ...ends } = packet;
  assert.deepEqual(given({}), ends);
  assert.deepEqual(given({ protocol: 1 }), { ...ends, destinationPort: 0 });
  const six = { source: 'fd00::1', destination: 'fd00::2' };
  assert.deepEqual(given({ ...six, protocol: 6 }), { ...ends, ...six });
  assert.deepEqual(given({ ...six, protocol: 47 }), { ...ends, ...six, sourcePort: 0, destinationPort: 0 });
  assert.equal(endsOf(Buffer.from('0000000000000000000000008100', 'hex')), undefined);
  assert.equal(endsOf(Buffer.alloc(60)), undefined);
});

const NETWORK = '11111111-1111-4111-8111-111111111111';
const OWNER = '22222222-2222-4222-8222-222222222222';
const GUEST_MAC = '02:00:00:00:00:07';

const PACKET: TracePacket = {
  ...{ source: '198.51.100.7', destination: ADDRESS, sourcePort: 1, destinationPort: 2 },
  ...{ protocol: 17, icmpType: 8, icmpCode: 0, bytes: 84 },
};

/** What is said of a packet from a machine outside with which the programs do this: first its question, then itself. */
function tracedFromOutside(networkId: string, ...raws: readonly Partial<RawTrace>[]): ReturnType<typeof tracedFrom> {
  const start = { networkId, asker: '203.0.113.1', nextHop: ADDRESS, packet: PACKET };
  return tracedFrom({ kind: 'outside', ...start }, ...raws);
}

function tracedFrom(
  from: TraceStart,
  ...raws: readonly Partial<RawTrace>[]
): { readonly hop: TraceHop; readonly seen: readonly TraceInput[] } {
  const seen: TraceInput[] = [];
  const nothing = { steps: [], began: undefined, ifindex: 1, deliver: 0, wire: 0, remote: 0, reason: 0 };
  const port = { macAddress: GUEST_MAC, fixedIps: [{ ipAddress: ADDRESS }] };
  const tracer = new Tracer({
    host: 'h1',
    slices: {
      keys: () => [],
      header: () => undefined,
      item: (key: string, id: string) => (key === 'host:h1' && id === OWNER ? port : undefined),
      items: () => [],
    } as unknown as ListedSlices,
    planner: {
      vifs: new Map([[OWNER, { vif: 7 }]]) as unknown as TracerDeps['planner']['vifs'],
      ids: (kind) => new Map(kind === 'network' ? [[NETWORK, 3]] : kind === 'vif' ? [[OWNER, 7]] : []),
      numberOf: () => undefined,
      denierOf: () => undefined,
    },
    load: () => ({
      run: (input) => {
        seen.push(input);
        return { ...nothing, frame: input.frame, ...raws[seen.length - 1] };
      },
      close: () => {},
    }),
    log: silentLogger(),
  });
  const said = tracer.trace({ kind: 'trace', isAnswer: false, from });
  tracer.close();
  assert.ok('value' in said);
  return { hop: said.value, seen };
}

test('a machine outside sends to who answers it: the host, or the port that gets its question', () => {
  const answer = Buffer.from(
    '02cab1e00001020000000001080600010800060400020200000000cb00710002cab1e00001cb007101',
    'hex',
  );
  const reply = Buffer.concat([answer.subarray(0, 22), Buffer.from('0200000000aa', 'hex'), Buffer.alloc(14)]);
  const byHost = tracedFromOutside(
    NETWORK,
    { deliver: CB_DELIVER_UPLINK, frame: reply },
    { deliver: CB_DELIVER_VIF, steps: [step(CB_STEP_ENDPOINT, { id: 7 })] },
  );
  assert.deepEqual(
    byHost.seen.map(({ from }) => from),
    [{ net: 3 }, { net: 3 }],
  );
  assert.equal(byHost.hop.neighbour?.mac, '02:00:00:00:00:aa');
  assert.deepEqual(byHost.hop.end?.kind === 'port' && byHost.hop.end.portId, OWNER);
  assert.equal(Buffer.from(byHost.seen[1]?.frame ?? []).toString('hex', 0, 6), '0200000000aa');

  const copy = (passed: boolean) => step(CB_STEP_COPY, { id: 7, a: CB_FLOOD_VIF, b: passed ? 0 : 1 });
  const flooded = { deliver: CB_DELIVER_FLOOD, remote: 1 };
  const byPort = tracedFromOutside(NETWORK, { ...flooded, steps: [copy(true)] }, { deliver: CB_DELIVER_UPLINK });
  assert.equal(byPort.hop.neighbour?.mac, GUEST_MAC);
  assert.deepEqual(byPort.hop.end, { kind: 'answered' }, 'nothing goes from outside to outside');
  const refused = tracedFromOutside(NETWORK, { ...flooded, steps: [copy(false)] });
  assert.deepEqual([refused.hop.neighbour?.mac, refused.hop.end, refused.seen.length], [null, null, 1]);
  const elsewhere = tracedFromOutside('other');
  assert.deepEqual([elsewhere.hop.neighbour?.mac, elsewhere.hop.end, elsewhere.seen.length], [null, null, 0]);
});

test('a port that answers a machine outside does not ask for its MAC', () => {
  for (const isOutside of [true, false]) {
    const { hop, seen } = tracedFrom(
      { kind: 'port', portId: OWNER, nextHop: '203.0.113.9', ...(isOutside ? { isOutside } : {}), packet: PACKET },
      { deliver: isOutside ? CB_DELIVER_UPLINK : CB_DELIVER_FLOOD },
    );
    assert.deepEqual(
      [hop.neighbour?.mac ?? null, hop.end?.kind ?? null, seen.length],
      isOutside ? ['02:ca:b1:e0:00:01', 'outside', 1] : [null, null, 1],
    );
    const type = Buffer.from(seen[0]?.frame ?? []).readUInt16BE(12);
    assert.equal(type, isOutside ? 0x0800 : 0x0806);
  }
});

test('the ends beyond the host’s ports are told apart', () => {
  assert.deepEqual(traced({ deliver: CB_DELIVER_UPLINK }).end, { kind: 'outside' });
  const packet = { source: '10.0.0.1', destination: ADDRESS, sourcePort: 7, destinationPort: 8 };
  const sent = { ...packet, protocol: 17, icmpType: 0, icmpCode: 0, bytes: 84 };
  const frame = packetFrame({ from: Buffer.alloc(6), to: Buffer.alloc(6) }, sent, false);
  assert.deepEqual(traced({ deliver: CB_DELIVER_UPLINK, frame }).end, { kind: 'outside', packet });
  assert.deepEqual(traced({ deliver: CB_DELIVER_FRAGMENTER }).end, { kind: 'cut' });
});
