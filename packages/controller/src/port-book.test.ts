import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type Client } from '@cable/api';
import { PortBook } from './port-book.ts';

type PortView = Parameters<PortBook['keep']>[0];

const port = (id: string, more: Partial<PortView> = {}): PortView => ({
  ...{ id, project_id: 'prod.shop', network_id: 'n', device_owner: 'kubernetes:pod' },
  ...{ device_id: `${id}:eth0`, 'binding:host_id': 'node-1' },
  ...{ 'cable:origin': `Pod/shop/${id}/u-${id}`, security_groups: [], fixed_ips: [], qos_policy_id: null },
  ...{ 'cable:namespace': 'prod/shop', 'cable:labels': [], 'cable:named_ports': [] },
  ...{ port_security_enabled: true, allowed_address_pairs: [], 'cable:default_route': null },
  ...{ 'cable:zone': '', 'cable:announces': true },
  ...more,
});

const ids = (book: PortBook): readonly string[] => book.keys('Pod').toSorted();

test('what changes while all is asked for is newer than the answer', async () => {
  const book = new PortBook('prod');
  for (const id of ['stays', 'goes', 'is-gone']) book.keep(port(id));
  let answer = (_ports: readonly PortView[]): void => {};
  const answered = new Promise<readonly PortView[]>((resolve) => {
    answer = resolve;
  });
  const loading = book.load({ list: () => answered } as unknown as Pick<Client, 'list'>);
  book.keep(port('comes'));
  book.forget('goes');
  book.keep(port('stays', { 'binding:host_id': 'node-2' }));
  answer([port('stays'), port('goes')]);
  await loading;
  assert.deepEqual(ids(book), ['shop/comes', 'shop/stays']);
  assert.equal(book.of('Pod', 'shop/stays')[0]?.host, 'node-2');
});

test('who has an address is known, whoever had it before', () => {
  const book = new PortBook('prod');
  const with5 = { fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }] };
  book.keep(port('a', with5));
  assert.equal(book.holder('n', '10.0.0.5')?.id, 'a');
  assert.equal(book.holder('other', '10.0.0.5'), undefined);
  book.keep(port('b', with5));
  book.forget('a');
  assert.equal(book.holder('n', '10.0.0.5')?.id, 'b');
  book.keep(port('b'));
  assert.equal(book.holder('n', '10.0.0.5'), undefined);
});

test('a create that was answered by nobody makes no second port, whatever is asked for by then', async () => {
  const keys: (string | undefined)[] = [];
  const create = async (_type: string, _body: object, key?: string) => {
    keys.push(key);
    throw keys.length === 1
      ? new ApiError(504, 'OutcomeUnknown', 'nobody knows', '')
      : new ApiError(422, 'IdempotencyKeyReused', 'it was used before', '');
  };
  const client = { create, list: async () => [port('web')] } as unknown as Pick<Client, 'create' | 'list'>;
  const book = new PortBook('prod');
  const origin = { kind: 'Pod', key: 'shop/web', uid: 'u-web' };
  for (let n = 0; n < 2; n += 1) await assert.rejects(book.create(client, { name: 'web' }, origin, 'u-web:eth0'));
  assert.deepEqual(keys, ['u-web:eth0', 'u-web:eth0']);
  assert.deepEqual(ids(book), ['shop/web'], 'the one that there is is known now');
});
