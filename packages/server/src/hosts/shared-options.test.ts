import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Logger } from '@cable/kit';
import type { Settings } from '../engine/context.ts';
import type { ServerRow } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { harnessOf, startHarness, startTestServer } from '../testing/harness.ts';
import { OtherServers, placeOfServer, sharedOptions } from './shared-options.ts';

const SETTINGS: Settings = { underlayMtuBytes: 1500 };

test('what was given in another order is the same, and what was not given says so', () => {
  const ranges = [
    { type: 'vxlan', physical: null, minimum: 1, maximum: 9 },
    { type: 'vlan', physical: 'physnet1', minimum: 5, maximum: 6 },
    { type: 'vxlan', physical: null, minimum: 20, maximum: 29 },
  ] as const;
  const given = { ...SETTINGS, quotas: { port: 1, network: 2 }, segmentRanges: ranges, tenants: true } as const;
  const other = { ...given, quotas: { network: 2, port: 1 }, segmentRanges: [...ranges].reverse() };
  assert.deepEqual(sharedOptions(given, 'zed'), sharedOptions(other, 'zed'));
  assert.deepEqual(sharedOptions(given, 'zed'), {
    '--auth': 'keystone',
    '--policy-defaults': 'zed',
    '--underlay-mtu': '1500',
    '--overlay-ip-version': '4',
    '--quota': 'network=2 port=1',
    '--vni-range': '1:9 20:29',
    '--vlan-range': 'physnet1:5:6',
    '--bgp-as': 'not given',
    '--contrail-port-status': 'programmed',
  });
  assert.equal(sharedOptions(SETTINGS, 'secure')['--quota'], 'not given');
});

test('a server is told of once as long as it has the same, and not at all when it says nothing', () => {
  const rows = new Map<string, ServerRow>();
  const lines: unknown[] = [];
  const log = { warn: (fields: unknown) => lines.push(fields) } as unknown as Logger;
  const tables = {
    of: () => ({ get: (id: string) => rows.get(id), values: () => rows.values() }),
  } as unknown as Tables;
  const here = sharedOptions(SETTINGS, 'secure');
  const others = new OtherServers({ tables, server: 's1', options: here, log });
  const take = (id: string, options: ServerRow['options']): void => {
    const none = { floor: 0, behind: {}, entered: 0, wants: 0, refused: {}, gateways: true, protons: {} };
    rows.set(id, { id, ...none, place: `control-${id}`, options });
    others.changed(id);
  };
  take('s1', { '--quota': 'its own row says nothing of others' });
  take('s2', {});
  take('s3', { ...here, '--of-a-later-version': 'x' });
  assert.deepEqual([lines, others.otherwise], [[], []]);
  take('s4', { ...here, '--underlay-mtu': '9000' });
  take('s4', { ...here, '--underlay-mtu': '9000' });
  const other = { option: '--underlay-mtu', here: '1500', there: '9000' };
  assert.deepEqual(lines, [{ server: 'control-s4', options: [other] }]);
  assert.deepEqual(others.otherwise, [{ server: 'control-s4', ...other }]);
  take('s4', here);
  assert.deepEqual([lines.length, others.otherwise], [1, []]);
  take('s4', { ...here, '--underlay-mtu': '9000' });
  assert.equal(lines.length, 2);
  rows.delete('s4');
  others.changed('s4');
  assert.deepEqual(others.otherwise, []);
});

test('each of two servers on a store says what the other has otherwise', async (t) => {
  const { store, server: first } = await startHarness(t, { quotas: { port: 1 } });
  const second = await startTestServer(store, undefined, { tenants: true });
  const seen = async (server: typeof first): Promise<unknown> => {
    const { body } = await harnessOf(store, server).send('GET', '/cable/v1/status');
    return body['other_options'];
  };
  await first.tables.waitFor(second.tables.revision);
  const place = placeOfServer();
  assert.deepEqual(await seen(first), [
    { server: place, option: '--auth', here: 'noauth', there: 'keystone' },
    { server: place, option: '--quota', here: 'port=1', there: 'not given' },
  ]);
  assert.deepEqual(await seen(second), [
    { server: place, option: '--auth', here: 'keystone', there: 'noauth' },
    { server: place, option: '--quota', here: 'not given', there: 'port=1' },
  ]);
  await second.stop();
});
