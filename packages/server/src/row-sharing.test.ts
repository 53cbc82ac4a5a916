import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Table } from '@cable/kit';
import { type AnyObject, BUILT_IN_RESOURCES, type Port } from '@cable/model';
import { indexesOf } from './indexes.ts';
import { parseObject } from './object-text.ts';
import { createRowSharing } from './row-sharing.ts';

const found = BUILT_IN_RESOURCES.find((one) => one.name === 'port');
assert(found);
const resource = found;

/** Strings are equal when their text is; whether there is one or two of them only the memory tells, so lists and objects are looked at. */
const given = (id: string, more: object = {}): object => ({
  id,
  project_id: 'project-of-many',
  network_id: 'network-of-many',
  mac_address: `fa:16:3e:00:00:0${id}`,
  fixed_ips: [{ subnet_id: 'subnet', ip_address: `10.0.0.${id}` }],
  security_groups: ['g1', 'g2'],
  created_at: '2026-01-01T00:00:00Z',
  ...more,
});

function world(): { put(object: object): AnyObject; table: Table<AnyObject, string> } {
  const table = new Table<AnyObject, string>('port', indexesOf(resource));
  const share = createRowSharing(resource);
  const put = (object: object): AnyObject => {
    const row = parseObject(resource, JSON.stringify(object));
    assert(row);
    share(row, table.get(row.id), table);
    table.put(row.id, row);
    return row;
  };
  return { put, table };
}

const port = (row: AnyObject): Port => row as unknown as Port;

test('rows are what they would be without sharing', () => {
  const { put } = world();
  const objects = [
    given('1'),
    given('2', { security_groups: ['g2', 'g3'], allowed_address_pairs: [{ ip_address: '10.1.0.0/16' }] }),
    given('3', { 'binding:profile': { a: [1, { b: null }] }, security_groups: [] }),
    given('1', { name: 'x', fixed_ips: [] }),
    given('1', { name: 'x', fixed_ips: [{ subnet_id: 'subnet', ip_address: '10.0.0.7' }] }),
  ];
  for (const object of objects) {
    assert.equal(JSON.stringify(put(object)), JSON.stringify(parseObject(resource, JSON.stringify(object))));
  }
});

test('equal lists are one, from row to row and from a row to its next state; empty ones are one for all', () => {
  const { put } = world();
  const first = port(put(given('1')));
  const second = port(put(given('2')));
  assert.equal(second.security_groups, first.security_groups);
  assert.equal(second.allowed_address_pairs, first.allowed_address_pairs);
  assert.equal(second['binding:profile'], first['binding:profile']);
  const next = port(put(given('1', { name: 'new' })));
  assert.equal(next.fixed_ips, first.fixed_ips);
  const moved = port(put(given('1', { fixed_ips: [{ subnet_id: 'subnet', ip_address: '10.0.0.99' }] })));
  assert.notEqual(moved.fixed_ips, first.fixed_ips);
  assert.equal(first.fixed_ips[0]?.ip_address, '10.0.0.1');
});

test('rows have the declared order, whatever the order and the gaps in the store', () => {
  const whole = parseObject(resource, JSON.stringify(given('1')));
  const reversed = Object.fromEntries(Object.entries({ ...given('1'), unknown: 1 }).reverse());
  const names = Object.keys(parseObject(resource, JSON.stringify(reversed)) ?? {});
  assert.deepEqual(names, [...Object.keys(whole ?? {}), 'unknown']);
  assert.equal(names[0], 'id');
  assert.equal(parseObject(resource, '{"name":"x"}'), undefined);
});
