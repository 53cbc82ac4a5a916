import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDnsName, type SliceKey } from '@cable/model';
import type { ClusterZone } from '../guest/cluster-zone.ts';
import { ClusterZones } from './cluster-zones.ts';

const HEADER = { scopeId: 'k1', cidrs: ['10.96.0.0/16'], routerIds: ['r1'], clusterDomain: 'cluster.local' };

/** Slices that a test changes: network n1 is at router r1. */
function fixture() {
  const slices = new Map<string, { header: unknown; readonly items: Map<string, unknown> }>();
  const zones = new ClusterZones({
    header: (key: string) => slices.get(key)?.header as never,
    item: (key: string, item: string) => slices.get(key)?.items.get(item) as never,
    items: (key: string) => (slices.get(key)?.items ?? []) as never,
    itemKeys: (key: string) => slices.get(key)?.items.keys() ?? [],
    size: (key: string) => slices.get(key)?.items.size ?? 0,
    keys: () => slices.keys() as Iterable<SliceKey>,
  });
  const put = (key: SliceKey, item: string | null, value: unknown): void => {
    const slice = slices.get(key) ?? { header: undefined, items: new Map() };
    slices.set(key, slice);
    if (item === null) slice.header = value;
    else if (value === undefined) slice.items.delete(item);
    else slice.items.set(item, value);
    zones.take({ changes: [{ key, item }] });
  };
  const service = (id: string, ip: string): void =>
    put('services:k1', id, { id, name: `shop/${id}`, projectId: 'k', clusterIps: [ip], externalIps: [], ports: [] });
  put('services:k1', null, HEADER);
  put('router:r1', 'leg', { networkId: 'n1' });
  const has = (name: string, network = 'n1'): boolean => {
    const found = zones.of(network);
    assert.ok(!(found instanceof Promise));
    return (found as readonly ClusterZone[]).some((one) => one.entry(parseDnsName(name) ?? []) !== undefined);
  };
  return { zones, put, service, has };
}

test('names are known behind the routers of the scope, and follow routers, scope and Services', () => {
  const { put, service, has } = fixture();
  service('web', '10.96.0.10');
  assert.deepEqual([has('web.shop.svc.cluster.local'), has('web.shop.svc.cluster.local', 'n2')], [true, false]);
  service('db', '10.96.0.11');
  put('services:k1', 'web', undefined);
  assert.deepEqual([has('web.shop.svc.cluster.local'), has('db.shop.svc.cluster.local')], [false, true]);
  put('router:r1', 'other', { networkId: 'n2' });
  assert.equal(has('db.shop.svc.cluster.local', 'n2'), true);
  put('router:r1', 'leg', undefined);
  assert.equal(has('db.shop.svc.cluster.local'), false);
  put('services:k1', null, { ...HEADER, clusterDomain: 'k8s.example' });
  assert.deepEqual([has('db.shop.svc.cluster.local', 'n2'), has('db.shop.svc.k8s.example', 'n2')], [false, true]);
  put('services:k1', null, undefined);
  assert.equal(has('db.shop.svc.k8s.example', 'n2'), false);
});

test('a large cluster is put together in turns, with what changes meanwhile', async () => {
  const { zones, put, service, has } = fixture();
  for (let n = 0; n < 20_000; n += 1) service(`s${n}`, `10.96.${n >> 8}.${n & 255}`);
  const making = zones.of('n1');
  assert.ok(making instanceof Promise);
  put('services:k1', 's0', undefined);
  put('services:k1', 's19999', undefined);
  service('late', '10.97.0.1');
  await making;
  assert.deepEqual(
    ['s0', 's1', 's19998', 's19999', 'late'].map((one) => has(`${one}.shop.svc.cluster.local`)),
    [false, true, true, false, true],
  );
});
