import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { type AnyObject, cidrsOverlap, formatCidr, type IpPrefix, maskIp } from '@cable/model';
import { checkStore } from '../engine/check.ts';
import { objectKey } from '../keys.ts';
import { startHarness } from '../testing/harness.ts';

/** A prefix of a small part of the addresses, so that many of them overlap. */
function randomPrefix(random: () => number): IpPrefix {
  const prefixLength = 22 + Math.floor(random() * 8);
  const value = 0x0a010000n + BigInt(Math.floor(random() * 4096));
  return { base: maskIp({ version: 4, value }, prefixLength), prefixLength };
}

test('a subnet is refused exactly when it overlaps one of its network, there before or made by the same request', async (t) => {
  const { create, send } = await startHarness(t);
  const random = seededRandom(4);
  const networks = await Promise.all([create('network', {}), create('network', {})]);
  const taken = networks.map((): IpPrefix[] => []);
  const outcomes = { 201: 0, 400: 0 };
  for (let round = 0; round < 250; round += 1) {
    const which = round % 2;
    const asked = Array.from({ length: random() < 0.6 ? 1 : 2 }, () => randomPrefix(random));
    const overlaps = asked.some((one, at) =>
      [...(taken[which] ?? []), ...asked.slice(0, at)].some((other) => cidrsOverlap(one, other)),
    );
    const network_id = networks[which]?.['id'];
    const subnets = asked.map((one) => ({ network_id, ip_version: 4, cidr: formatCidr(one) }));
    const { status, body } = await send('POST', '/v2.0/subnets', { subnets });
    assert.equal(status, overlaps ? 400 : 201, `${JSON.stringify(subnets)} ${JSON.stringify(body)}`);
    outcomes[overlaps ? 400 : 201] += 1;
    if (!overlaps) taken[which]?.push(...asked);
  }
  assert.ok(outcomes[201] > 30 && outcomes[400] > 30, JSON.stringify(outcomes));
});

test('the check tells of subnets that overlap, whatever lies between them', async (t) => {
  const { create, server, store } = await startHarness(t);
  const network_id = (await create('network', {}))['id'];
  const make = (cidr: string): Promise<AnyObject> =>
    create('subnet', { network_id, ip_version: 4, cidr }) as unknown as Promise<AnyObject>;
  const wide = await make('10.9.0.0/16');
  for (const cidr of ['10.0.1.0/24', '10.0.0.0/29', '10.3.0.0/24', '10.0.200.0/28']) await make(cidr);
  assert.deepEqual((await checkStore(server.deps)).violations, []);
  const row = JSON.stringify({ ...server.tables.of('subnet').get(wide.id), cidr: '10.0.0.0/16' });
  const { revision } = await store.txn([], [{ kind: 'put', key: objectKey('subnet', wide.id), value: row }]);
  assert.ok(await server.tables.waitFor(revision));
  const found = (await checkStore(server.deps)).violations.filter(
    ({ rule }) => rule === 'subnets of a network do not overlap',
  );
  assert.deepEqual(
    found.map(({ detail }) => [detail.includes('10.0.0.0/16'), detail.includes('10.0.0.0/29')]),
    [[true, true]],
  );
});

test('a subnet costs the same in a network with thousands of them as in one with none', async (t) => {
  const { create, send, server } = await startHarness(t);
  const network = (await create('network', {}))['id'];
  let made = 0;
  let looks = 0;
  const { get } = WeakMap.prototype;
  // Where a subnet lies is looked up by its row, for each comparison.
  t.mock.method(WeakMap.prototype, 'get', function (this: WeakMap<object, unknown>, key: object) {
    if ('cidr' in key) looks += 1;
    return get.call(this, key);
  });
  const table = server.tables.any('subnet');
  const { by } = table;
  const countedBy: typeof by = (index, key) => {
    const rows = by.call(table, index, key);
    looks += rows.length;
    return rows;
  };
  Object.assign(table, { by: countedBy });
  /** Looks at subnets. */
  const make = async (count: number): Promise<number> => {
    const subnets = Array.from({ length: count }, () => {
      made += 1;
      return { network_id: network, ip_version: 4, cidr: `10.${made >> 8}.${made & 255}.0/29` };
    });
    const before = looks;
    assert.equal((await send('POST', '/v2.0/subnets', { subnets })).status, 201);
    return looks - before;
  };
  await make(200);
  const few = await make(300);
  for (let round = 0; round < 4; round += 1) await make(1000);
  const many = await make(300);
  assert.ok(few > 300 && many < 3 * few, `${few} looks, then ${many}`);
});
