import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type FlowEvent,
  FOLLOW_LEASE_MS,
  type FollowedFlows,
  MAX_FOLLOWED,
  MAX_FOLLOWS,
  MAX_FOLLOWS_A_PROJECT,
  type PacketEvent,
  type PacketQuery,
} from '@cable/model';
import { NetlinkError } from '../ffi/errno.ts';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { parseAddress } from '../plan/address.ts';
import { type FollowedPort, Follows } from './follows.ts';
import { NO_PORT } from './tracer.ts';

const ALL = { lease: null, after: 0 };

type Bed = {
  readonly follows: Follows;
  readonly ports: Map<string, FollowedPort>;
  /** Devices that are followed, one for each who does. */
  readonly devices: string[];
  /** Milliseconds go by. */
  pass(ms: number): void;
  tell(record: FlowRecord): void;
  readonly untold: { count: number };
  readonly isHeard: () => boolean;
  readonly samplers: readonly {
    readonly port: FollowedPort;
    readonly query: PacketQuery;
    readonly take: (packet: Omit<PacketEvent, 'number'>) => void;
    readonly onEnd: () => void;
    lost: number;
    isOpen: boolean;
  }[];
  readonly drops: { reason: typeof REASON; packets: number }[];
};

const REASON = { name: 'no_route', meaning: 'm', remedy: 'r' };

function portOf(id: string, vif: number): FollowedPort {
  return { id, vif, device: `tap${id}`, ifindex: 10 + vif, vlan: 0, networkId: 'n', projectId: `of ${id}` };
}

function bed(...names: readonly string[]): Bed {
  const devices: string[] = [];
  const timers = new Set<{ at: number; call: () => void }>();
  const listeners = new Set<(record: FlowRecord) => void>();
  const untold = { count: 0 };
  let [now, leases] = [0, 0];
  const ports = new Map(names.map((name, n) => [name, portOf(name, n + 1)]));
  const samplers: Bed['samplers'][number][] = [];
  const drops: { reason: typeof REASON; packets: number }[] = [];
  const use = (what: string) => (device: string) => {
    devices.push(`${what}${device}`);
    return () => void devices.splice(devices.indexOf(`${what}${device}`), 1);
  };
  const follows = new Follows({
    port: (id) => ports.get(id),
    watched: { follow: use(''), watch: use('watched ') },
    sample: (port, query, take, onEnd) => {
      if (query.peer === 'gone') throw new NetlinkError('hear', 'ENODEV');
      const sampler = { port, query, take, onEnd, lost: 0, isOpen: true };
      samplers.push(sampler);
      const close = (): void => {
        sampler.isOpen = false;
      };
      return { counts: () => ({ sent: 5, received: 6, lost: sampler.lost }), close };
    },
    drops: () => drops,
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    notTold: () => untold.count,
    newLease: () => {
      leases += 1;
      return `lease${leases}`;
    },
    after: (ms, call) => {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    monotonicMs: () => now,
  });
  return {
    ...{ follows, ports, devices, untold, samplers, drops },
    pass: (ms) => {
      now += ms;
      for (const timer of timers) if (timer.at <= now && timers.delete(timer)) timer.call();
    },
    tell: (record) => {
      for (const listener of listeners) listener(record);
    },
    isHeard: () => listeners.size > 0,
  };
}

function events({ records }: FollowedFlows): readonly FlowEvent[] {
  return records.flatMap((one) => (one.kind === 'packet' ? [] : [one]));
}

function value(said: ReturnType<Follows['ask']>): FollowedFlows {
  assert.ok('value' in said, JSON.stringify(said));
  return said.value;
}

function tuple(from: string, to: string, sport: number, dport: number): FlowRecord['asked'] {
  const [src, dst] = [parseAddress(from), parseAddress(to)];
  assert.ok(src !== undefined && dst !== undefined);
  return { src, dst, sportBe: sport, dportBe: dport, net: 1, protocol: 6 };
}

function record(from: string | null, to: string | null, more: Partial<FlowRecord> = {}): FlowRecord {
  const end = (portId: string | null): FlowRecord['from'] =>
    portId === null ? null : { portId, portName: portId, projectId: 'p', oneOf: 0 };
  return {
    ...{ kind: 'begin', flow: 1, life: 1n, choice: 1, atMs: 5.25, beganMs: 5, networkId: 'n', networkName: 'n' },
    ...{ asked: tuple('10.0.0.1', '10.0.0.2', 1000, 80), answered: tuple('10.0.0.2', '10.0.0.1', 80, 1000) },
    ...{ goesOn: tuple('10.0.0.1', '10.0.0.2', 1000, 80), isServed: false, refusedBy: null },
    ...{ packets: [1n, 2n], bytes: [3n, 4n], from: end(from), to: end(to), rule: 'rule', ended: 0, drop: null },
    ...more,
  };
}

test('a port is followed from the first question on, and no longer when nobody has asked for a while', () => {
  const { follows, devices, pass, isHeard } = bed('a');
  assert.deepEqual([devices, isHeard()], [[], false]);
  const { lease, records } = value(follows.ask({ portId: 'a', ...ALL }));
  assert.deepEqual([devices, records, isHeard()], [['tapa'], [], true]);
  for (let n = 0; n < 3; n += 1) {
    pass(FOLLOW_LEASE_MS - 1);
    assert.equal(value(follows.ask({ portId: 'a', lease, after: 0 })).lease, lease);
  }
  assert.deepEqual(devices, ['tapa']);
  pass(FOLLOW_LEASE_MS);
  assert.deepEqual([devices, isHeard()], [[], false]);
  assert.notEqual(value(follows.ask({ portId: 'a', lease, after: 7 })).lease, lease, 'it begins anew');
  follows.close();
  assert.deepEqual([devices, isHeard()], [[], false]);
});

test('each has what is of its port and query, from both ends, once, and again if an answer was lost', () => {
  const { follows, tell } = bed('a', 'b');
  const a = value(follows.ask({ portId: 'a', ...ALL })).lease;
  const b = value(follows.ask({ portId: 'b', ...ALL, port: 80 })).lease;
  const nat = { asked: tuple('10.0.0.1', '203.0.113.1', 1000, 81), answered: tuple('10.0.0.2', '192.0.2.1', 80, 4096) };
  tell(record('a', 'b'));
  tell(record('b', null, { kind: 'end', ended: 3, ...nat }));
  tell(record('a', null, { kind: 'drop', drop: REASON }));
  tell(record('a', null, { kind: 'update' }));
  tell(record('c', null));
  tell(
    record('b', null, { asked: tuple('10.0.0.1', '10.0.0.2', 1, 2), answered: tuple('10.0.0.2', '10.0.0.1', 2, 1) }),
  );
  const ofA = (after: number) => events(value(follows.ask({ portId: 'a', lease: a, after })));
  const [first, second, ...more] = ofA(0);
  assert.deepEqual(more, []);
  assert.deepEqual(first, {
    ...{ number: 1, kind: 'begin', atMs: 5.25, isBegun: true, networkId: 'n', protocol: 6 },
    ...{ source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 1000, destinationPort: 80, icmpType: null },
    ...{ becomes: null, packets: 1, bytes: 3, replyPackets: 2, replyBytes: 4, peerPortId: 'b', rule: 'rule' },
    ...{ ended: null, reason: null },
  });
  assert.deepEqual([second?.number, second?.kind, second?.reason], [2, 'drop', REASON]);
  assert.deepEqual([ofA(0).length, ofA(1), ofA(2)], [2, [second], []]);
  const [begin, end, ...rest] = events(value(follows.ask({ portId: 'b', lease: b, after: 0, port: 80 })));
  assert.deepEqual(rest, []);
  assert.deepEqual([begin?.isBegun, begin?.peerPortId], [false, 'a']);
  assert.deepEqual(
    [end?.ended, end?.becomes],
    ['closed', { source: '192.0.2.1', destination: '10.0.0.2', sourcePort: 4096, destinationPort: 80 }],
  );
});

test('a lease is one port’s and one query’s; of another it is not known', () => {
  const { follows, tell, devices } = bed('a', 'b');
  const { lease } = value(follows.ask({ portId: 'a', ...ALL }));
  tell(record('a', null));
  const other = value(follows.ask({ portId: 'b', lease, after: 0 }));
  assert.ok(other.lease !== lease && other.records.length === 0);
  const narrower = value(follows.ask({ portId: 'a', lease, after: 0, protocol: 6 }));
  assert.ok(narrower.lease !== lease && narrower.records.length === 0);
  assert.equal(devices.length, 3);
});

test('what nobody asks for in time is pushed out, and counted with what the vrouter did not tell', () => {
  const { follows, tell, untold } = bed('a');
  untold.count = 1000;
  const { lease } = value(follows.ask({ portId: 'a', ...ALL }));
  for (let n = 0; n < MAX_FOLLOWED + 5; n += 1) tell(record('a', null));
  untold.count += 3;
  const ask = (after: number) => value(follows.ask({ portId: 'a', lease, after }));
  const { records, lost } = ask(0);
  assert.deepEqual([records.length, records[0]?.number, lost], [MAX_FOLLOWED, 6, 8]);
  assert.deepEqual([ask(MAX_FOLLOWED + 5).records.length, ask(MAX_FOLLOWED + 5).lost], [0, 8]);
});

test('a port that comes to another device is followed there; one that goes is not', () => {
  const { follows, ports, devices } = bed('a');
  const { lease } = value(follows.ask({ portId: 'a', ...ALL }));
  ports.set('a', { ...portOf('a', 1), device: 'tap9', ifindex: 99 });
  assert.equal(value(follows.ask({ portId: 'a', lease, after: 0 })).lease, lease);
  assert.deepEqual(devices, ['tap9']);
  ports.delete('a');
  assert.deepEqual(follows.ask({ portId: 'a', lease, after: 0 }), { fault: NO_PORT });
  assert.deepEqual(devices, []);
});

test('so many are followed at a time, and not all of them of one project', () => {
  const names = Array.from({ length: MAX_FOLLOWS + 1 }, (_, n) => `p${n}`);
  const { follows, ports, pass, devices } = bed('a', ...names);
  const mine = Array.from({ length: MAX_FOLLOWS_A_PROJECT + 1 }, () => follows.ask({ portId: 'a', ...ALL }));
  assert.deepEqual(mine.at(-1), {
    fault: {
      code: 'failed',
      message: `${MAX_FOLLOWS_A_PROJECT} ports of the project are followed on the host already`,
    },
  });
  assert.ok(mine.slice(0, -1).every((said) => 'value' in said));
  pass(FOLLOW_LEASE_MS);
  const said = names.map((portId) => follows.ask({ portId, ...ALL }));
  assert.equal(said.filter((one) => 'value' in one).length, MAX_FOLLOWS);
  assert.equal(devices.length, MAX_FOLLOWS);
  assert.equal(ports.size, MAX_FOLLOWS + 2);
});

test('who says that he asks for the last time, or has not asked for a while, gives his place to another of his project', () => {
  const { follows, pass, devices, tell } = bed('a', 'b');
  const begun = (portId: string) => value(follows.ask({ portId, ...ALL })).lease;
  const leases = Array.from({ length: MAX_FOLLOWS_A_PROJECT }, () => begun('a'));
  const [first = '', second = ''] = leases;
  tell(record('a', null));
  for (const portId of ['a', 'b']) {
    const said = value(follows.ask({ portId, lease: first, after: 0, isLast: true }));
    assert.deepEqual([said.lease, said.records.length], [first, portId === 'a' ? 1 : 0]);
  }
  assert.equal(devices.length, MAX_FOLLOWS_A_PROJECT - 1);
  assert.deepEqual(
    value(follows.ask({ portId: 'a', lease: first, after: 0, isLast: true })).records,
    [],
    'none begins',
  );
  for (const portId of ['a', 'b', 'b']) begun(portId);
  for (let n = 0; n < 4; n += 1) {
    pass(1000);
    follows.ask({ portId: 'a', lease: second, after: 0 });
    assert.equal('fault' in follows.ask({ portId: 'a', ...ALL }), n < 3, 'the others have not asked for four seconds');
  }
  assert.equal(value(follows.ask({ portId: 'a', lease: second, after: 0 })).lease, second);
  assert.equal(devices.filter((device) => device === 'tapb').length, 2, 'another project’s stay');
});

const PACKETS: PacketQuery = { peer: '10.0.0.2', protocol: 6, peerPort: 80, ownPort: null, rate: 10 };

function packet(more: Partial<PacketEvent> = {}): Omit<PacketEvent, 'number'> {
  return {
    ...{ kind: 'packet', atMs: 1, isSent: true, protocol: 6, source: '10.0.0.1', destination: '10.0.0.2' },
    ...{ sourcePort: 1000, destinationPort: 80, icmpType: null, tcpFlags: 2, bytes: 60, flow: null },
    ...more,
  };
}

test('packets are taken as long as the lease is, on a device that they pass; with them what their flows do, and what is dropped', () => {
  const { follows, tell, samplers, devices, pass, drops, untold } = bed('a');
  drops.push({ reason: REASON, packets: 7 });
  const ask = (lease: string | null, after = 0) =>
    value(follows.ask({ portId: 'a', lease, after, packets: { ...PACKETS } }));
  const begun = ask(null);
  assert.deepEqual(begun.counted, { sent: 5, received: 6, drops: [] });
  assert.deepEqual([...devices].sort(), ['tapa', 'watched tapa']);
  const [sampler] = samplers;
  assert.ok(sampler !== undefined);
  assert.deepEqual([sampler.port.ifindex, sampler.query], [11, PACKETS]);
  sampler.take(packet());
  tell(record('a', null));
  tell(
    record(null, 'a', { asked: tuple('10.0.0.2', '10.0.0.1', 80, 9), answered: tuple('10.0.0.1', '10.0.0.2', 9, 80) }),
  );
  tell(
    record('a', null, { asked: tuple('10.0.0.1', '10.0.0.2', 9, 81), answered: tuple('10.0.0.2', '10.0.0.1', 81, 9) }),
  );
  tell(
    record('a', null, { asked: tuple('10.0.0.1', '10.0.0.3', 9, 80), answered: tuple('10.0.0.3', '10.0.0.1', 80, 9) }),
  );
  drops.push({ reason: { ...REASON, name: 'tcp_window' }, packets: 2 });
  sampler.lost = 3;
  untold.count = 4;
  const { records, lost, counted } = ask(begun.lease);
  assert.deepEqual(
    records.map(({ number, kind }) => [number, kind]),
    [
      [1, 'packet'],
      [2, 'begin'],
      [3, 'begin'],
    ],
  );
  assert.deepEqual([lost, counted?.drops], [7, [{ reason: { ...REASON, name: 'tcp_window' }, packets: 2 }]]);
  pass(FOLLOW_LEASE_MS);
  assert.deepEqual([sampler.isOpen, devices], [false, []]);
});

test('a device that goes ends a lease of packets; so does another query; one that cannot be heard is refused', () => {
  const { follows, samplers, devices, ports } = bed('a');
  const ask = (lease: string | null, packets = PACKETS) => follows.ask({ portId: 'a', lease, after: 0, packets });
  const first = value(ask(null)).lease;
  samplers[0]?.onEnd();
  assert.deepEqual([samplers[0]?.isOpen, devices], [false, []]);
  const second = value(ask(first)).lease;
  assert.notEqual(second, first);
  assert.equal(value(ask(second)).lease, second);
  assert.notEqual(value(ask(second, { ...PACKETS, ownPort: 5 })).lease, second);
  ports.set('a', { ...portOf('a', 1), ifindex: 99 });
  assert.notEqual(value(ask(second)).lease, second);
  assert.deepEqual(samplers.map(({ isOpen, port }) => [isOpen, port.ifindex]).at(-1), [true, 99]);
  assert.equal(samplers[1]?.isOpen, false);
  assert.deepEqual(ask(null, { ...PACKETS, peer: 'gone' }), {
    fault: { code: 'failed', message: 'packets of the port cannot be read (ENODEV)' },
  });
  follows.close();
  assert.deepEqual(devices, []);
});
