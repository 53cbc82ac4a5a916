import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceKey } from '@cable/model';
import { sampleId, sampleNetwork, sampleRouter } from '../plan/testing/sample.ts';
import { BesideServices } from './beside-services.ts';
import { networkWays } from './network-ways.ts';

type Ways = Parameters<typeof networkWays>;

/** A host's slices, and how often one of their items was read. */
function host() {
  const slices = new Map<string, { header: unknown; items: Map<string, unknown> }>();
  let reads = 0;
  const reader = {
    keys: () => slices.keys() as Iterable<SliceKey>,
    header: (key: string) => slices.get(key)?.header,
    item: (key: string, item: string) => {
      reads += 1;
      return slices.get(key)?.items.get(item);
    },
    *items(key: string) {
      for (const one of slices.get(key)?.items ?? []) {
        reads += 1;
        yield one;
      }
    },
  } as unknown as Ways[0];
  const put = (key: string, item: string, value: unknown): void => {
    const slice = slices.get(key) ?? { header: undefined, items: new Map() };
    slices.set(key, slice);
    if (value === undefined) slice.items.delete(item);
    else slice.items.set(item, value);
  };
  for (const { key, header, items } of [...sampleNetwork(1), ...[sampleRouter(1, [1])].flat()])
    slices.set(key, { header, items: new Map(items as Iterable<readonly [string, unknown]>) });
  slices.set('services:s1', { header: { routerIds: [sampleId('rtr', 1)] }, items: new Map() });
  const beside = new BesideServices(reader);
  return {
    ...{ reader, beside, put },
    take: (...changes: readonly (readonly [key: string, item: string | null])[]) =>
      beside.take({ changes: changes.map(([key, item]) => ({ key: key as SliceKey, item })) }),
    served: () => networkWays(reader, beside, sampleId('net', 1)).services.map(({ destination }) => destination),
    /** Reads since the last question. */
    reads: () => {
      const now = reads;
      reads = 0;
      return now;
    },
  };
}

const onNode = (serviceId: string) => ({ serviceId, ipAddress: '10.0.0.9', ports: [], host: 'h1' });
const onNone = (serviceId: string) => ({ serviceId, ipAddress: '10.0.0.9', ports: [] });

test('among thousands of endpoints neither a change nor a question reads more than what it is about', () => {
  const { put, take, served, reads } = host();
  const all: (readonly [string, string])[] = [];
  for (let n = 0; n < 1000; n += 1) {
    put('services:s1', `svc${n}`, { clusterIps: [`10.96.${n >> 8}.${n & 255}`] });
    all.push(['services:s1', `svc${n}`]);
    for (let at = 0; at < 5; at += 1) {
      put('backends:s1', `${n}/${at}`, onNode(`svc${n}`));
      all.push(['backends:s1', `${n}/${at}`]);
    }
  }
  put('backends:s1', 'vm/1', onNone('svc7'));
  assert.equal(take(...all, ['backends:s1', 'vm/1']), true);
  assert.equal(reads(), 5001, 'each endpoint once, at the beginning');
  assert.deepEqual(served(), ['10.96.0.7/32']);
  assert.ok(reads() < 20);
  put('backends:s1', '500/2', undefined);
  assert.equal(take(['backends:s1', '500/2'], ['services:s1', 'svc500']), false, 'no pod’s routes hang on it');
  assert.equal(reads(), 1);
  put('backends:s1', 'vm/2', onNone('svc7'));
  assert.equal(take(['backends:s1', 'vm/2']), false, 'it has one already');
  put('services:s1', 'svc7', { clusterIps: ['10.96.9.9'] });
  assert.equal(take(['services:s1', 'svc7']), true);
  assert.deepEqual(served(), ['10.96.9.9/32']);
});

test('a Service is one of these from its first endpoint on no node until its last one has gone, moved to a node, or is another’s', () => {
  const { beside, put, take } = host();
  const change = (item: string, value: unknown, scope = 's1'): boolean => {
    put(`backends:${scope}`, item, value);
    return take([`backends:${scope}`, item]);
  };
  const found = (scope = 's1') => [...beside.of(scope)].sort();
  assert.equal(change('1', onNone('a')), true);
  assert.equal(change('2', onNone('a')), false);
  assert.equal(change('1', onNone('a'), 's2'), true);
  assert.equal(change('1', onNode('a')), false);
  assert.deepEqual([found(), found('s2')], [['a'], ['a']]);
  assert.equal(change('2', onNone('b')), true);
  assert.deepEqual(found(), ['b']);
  assert.equal(take(['services:s1', null]), true, 'its routers may be others');
  assert.equal(change('2', undefined), true);
  assert.deepEqual([found(), found('s2')], [[], ['a']]);
  assert.equal(take(['services:s1', null], ['services:s1', 'b']), false);
});
