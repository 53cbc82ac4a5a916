import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressWatches } from './address-watches.ts';
import type { ObservedLink } from './link-rows.ts';

test('an address that leaves its last device is told of once', () => {
  const addresses = new Map<number, string[]>([
    [1, ['127.0.0.1/8']],
    [2, ['192.0.2.1/24', '192.0.2.10/24']],
    [3, ['192.0.2.1/32']],
  ]);
  const row = (ifindex: number): ObservedLink | undefined => {
    const cidrs = addresses.get(ifindex);
    return cidrs === undefined
      ? undefined
      : ({ ifindex, addresses: cidrs.map((cidr) => ({ cidr })) } as unknown as ObservedLink);
  };
  const watches = new AddressWatches({
    get: row,
    values: function* () {
      for (const ifindex of addresses.keys()) {
        const link = row(ifindex);
        if (link !== undefined) yield link;
      }
    },
  });
  let lost: string[] = [];
  for (const address of ['192.0.2.1', '192.0.2.10', '127.0.0.1', '203.0.113.1']) {
    watches.watch(address, () => lost.push(address));
  }
  watches.watch('192.0.2.1', () => lost.push('ended'))();
  const change = (ifindex: number, cidrs: string[] | undefined): void => {
    if (cidrs === undefined) addresses.delete(ifindex);
    else addresses.set(ifindex, cidrs);
    watches.take({ ifindexes: new Set([ifindex]) });
  };
  change(2, ['192.0.2.10/24']);
  assert.deepEqual(lost, [], 'another device has it too');
  change(2, ['192.0.2.10/24', '192.0.2.1/24']);
  change(3, ['198.51.100.1/24']);
  assert.deepEqual(lost, [], 'it went back to where it was');
  change(2, ['192.0.2.10/24']);
  assert.deepEqual(lost, ['192.0.2.1']);
  change(2, undefined);
  assert.deepEqual(lost, ['192.0.2.1', '192.0.2.10'], 'with its device');
  lost = [];
  watches.watch('198.51.100.2', () => lost.push('198.51.100.2'));
  change(3, ['198.51.100.2/24']);
  change(3, undefined);
  assert.deepEqual(lost, ['198.51.100.2'], 'the table showed the last one late');
});
