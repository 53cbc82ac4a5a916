import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pseudowire, PseudowireEnd, PseudowireStart } from '@cable/model';
import {
  CB_MAX_PW,
  CB_PORT_PWS,
  CB_PW_F_BEGINS,
  CB_PW_F_FUNCTION,
  CB_PW_F_REMOTE,
  CB_PW_F_TO_MAC,
  CB_PW_FITS,
  CB_PW_PORT_F_CLOSED,
  CB_PW_PORT_F_FUNCTION,
  CB_PW_PORT_F_ROUTED,
  cbPw,
  cbPwendKey,
  cbPwPort,
  cbPwportKey,
} from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { formatAddress } from '../plan/address.ts';
import type { PseudowireRow, WirePlace } from '../plan/pseudowire-rows.ts';
import { hashOf, pseudowireEntries } from './pseudowire-entries.ts';
import { WireNumbers } from './wire-numbers.ts';

const [HERE, THERE]: readonly [WirePlace, WirePlace] = [{ name: 'cv1', ifindex: 11 }, 'elsewhere'];

function row(
  n: number,
  [from, to]: readonly [WirePlace, WirePlace],
  fields: { readonly from?: Partial<PseudowireStart>; readonly to?: Partial<PseudowireEnd> } = {},
  back: WirePlace = 'absent',
): PseudowireRow {
  const port = (place: WirePlace): PseudowireEnd => ({
    ...{ portId: `port-${n}`, macAddress: 'fa:16:3e:00:00:01', host: place === 'elsewhere' ? 'h2' : 'h1' },
    ...{ underlay: place === 'elsewhere' ? '192.0.2.2' : '192.0.2.1', as: 'deliver' },
  });
  const wire: Pseudowire = {
    ...{ id: `wire-${n}`, name: `wire ${n}`, projectId: 'project', vni: 100 + n },
    from: { ...port(from), at: 'sent', order: n, ...fields.from },
    to: { ...port(to), ...fields.to },
  };
  return { wire, from, to, back };
}

function plan(...rows: readonly PseudowireRow[]): ReturnType<typeof pseudowireEntries> {
  const numbers = new WireNumbers();
  return pseudowireEntries(rows, {
    numberOf: ({ id }) => numbers.take(hashOf(id)) ?? 0,
    ...{ tunnelIfindex: 5, queueIfindex: 6, priorityOf: () => 0, frameBytesTo: () => 1464 },
  });
}

function wiresOf({ entries }: ReturnType<typeof plan>): readonly ReturnType<typeof cbPw.decode>[] {
  return [...entries.wires.values()].map((value) => cbPw.decode(textBytes(value)));
}

function portsOf({ entries }: ReturnType<typeof plan>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    [...entries.ports].map(([key, value]) => {
      const { ifindex, at } = cbPwportKey.decode(textBytes(key));
      return [`${ifindex} ${at}`, cbPwPort.decode(textBytes(value)).flags];
    }),
  );
}

test('a line to another host leaves by the tunnels, and what others send to its port is dropped', () => {
  const planned = plan(row(1, [HERE, THERE]));
  const [wire] = wiresOf(planned);
  assert.deepEqual([wire?.flags, wire?.ifindex, wire?.maxBytes], [CB_PW_F_REMOTE, 5, 1464]);
  assert.equal(formatAddress(wire?.remote ?? new Uint8Array(16)), '192.0.2.2');
  assert.deepEqual(portsOf(planned), { '11 0': 0, '11 1': CB_PW_PORT_F_CLOSED });
  assert.deepEqual(
    planned.hooks.map(({ at }) => at),
    ['sent', 'delivered'],
  );
});

test('what begins elsewhere is taken from there alone, and nothing of it is taken at a port', () => {
  const planned = plan(row(1, [THERE, HERE]));
  const keys = [...planned.entries.ends.keys()].map((key) => cbPwendKey.decode(textBytes(key)));
  assert.deepEqual(
    keys.map(({ vni, remote }) => [vni, formatAddress(remote)]),
    [
      [101, ''],
      [101, '192.0.2.2'],
    ],
  );
  assert.deepEqual(planned.hooks, []);
});

test('without a port, its host or a way there is none', () => {
  const nowhere = plan(
    row(1, [HERE, 'absent']),
    row(2, ['absent', HERE]),
    row(3, [{ name: 'cv2', ifindex: 12 }, THERE], { to: { underlay: null, host: '' } }),
  );
  assert.deepEqual(
    wiresOf(nowhere).map(({ ifindex }) => ifindex),
    [0, 0, 0],
  );
  assert.deepEqual(nowhere.faults, []);
});

test('a function’s ports take what its path gives back, and are told who is their neighbour where they route', () => {
  const back = { name: 'cv3', ifindex: 13 };
  for (const transparent of [true, false]) {
    const to = { as: 'function', path: 'p', back: 'b', transparent } as const;
    const planned = plan(row(1, [THERE, { name: 'cv2', ifindex: 12 }], { to }, back));
    const [wire] = wiresOf(planned);
    assert.equal(wire?.flags, CB_PW_F_FUNCTION | (transparent ? 0 : CB_PW_F_TO_MAC));
    assert.equal(wire?.backIfindex, 13);
    const flags = CB_PW_PORT_F_FUNCTION | (transparent ? 0 : CB_PW_PORT_F_ROUTED);
    assert.deepEqual(portsOf(planned), {
      '12 0': flags,
      '13 0': flags,
      '12 1': CB_PW_PORT_F_CLOSED,
      '13 1': CB_PW_PORT_F_CLOSED,
    });
  }
  const [begins] = wiresOf(plan(row(1, [HERE, THERE], { from: { matches: [] }, to: { as: 'function', path: 'p' } })));
  assert.equal(begins?.flags, CB_PW_F_REMOTE | CB_PW_F_FUNCTION | CB_PW_F_TO_MAC | CB_PW_F_BEGINS);
});

test('what a port or a wire cannot have is told', () => {
  const match = { ipVersion: 4 } as const;
  const faultsOf = (...rows: readonly PseudowireRow[]): readonly string[] =>
    plan(...rows).faults.map(({ fault }) => fault);
  const many = Array.from({ length: CB_PORT_PWS + 1 }, (_, n) => row(n, [HERE, THERE], { from: { matches: [match] } }));
  assert.deepEqual(faultsOf(...many), [`port port-${CB_PORT_PWS} has more than ${CB_PORT_PWS} wires`]);
  const long = Array.from({ length: CB_PW_FITS + 1 }, () => match);
  assert.deepEqual(faultsOf(row(1, [HERE, THERE], { from: { matches: long } })), [
    `it has ${CB_PW_FITS + 1} matches, and may have ${CB_PW_FITS}`,
  ]);
  for (const source of ['2001:db8::/32', 'x'])
    assert.deepEqual(faultsOf(row(1, [HERE, THERE], { from: { matches: [{ ipVersion: 4, source }] } })), [
      `${source} is no prefix of IPv4`,
    ]);
  assert.deepEqual(faultsOf(row(1, [HERE, THERE]), row(2, [HERE, THERE])), [
    'another wire takes all that port port-2 has',
  ]);
  const same = { ...row(2, [THERE, HERE]).wire, vni: 101 };
  assert.deepEqual(faultsOf(row(1, [THERE, HERE]), { ...row(2, [THERE, HERE]), wire: same }), [
    'VNI 101 from 192.0.2.2 is also another wire’s',
  ]);
});

test('a number is another’s as late as may be, and an agent after finds it', () => {
  const numbers = new WireNumbers([[7n, 3]]);
  assert.deepEqual([numbers.take(7n), numbers.take(8n), numbers.take(9n)], [3, 4, 5]);
  numbers.keepOnly(new Set([7n, 9n]));
  assert.deepEqual([numbers.get(8n), numbers.take(10n), numbers.take(9n)], [undefined, 6, 5]);
  const full = new WireNumbers();
  for (let n = 1; n < CB_MAX_PW; n += 1) full.take(BigInt(n));
  assert.equal(full.take(0n), undefined);
});
