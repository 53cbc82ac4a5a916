import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint, NetworkHeader, PortNames, SliceKey } from '@cable/model';
import { parseDnsName } from '@cable/model';
import { NetworkZone } from '../guest/dns-zone.ts';
import { sampleId, sampleNetwork, sampleSubnet } from '../plan/testing/sample.ts';
import { NetworkZones } from './network-zones.ts';

const ID = sampleId('net', 1);

/** Slices of one network that a test changes. */
function fixture() {
  let header: NetworkHeader | undefined = sampleNetwork(1)[0]?.header as NetworkHeader;
  const items = new Map<string, Map<string, unknown>>();
  const slices = {
    header: (key: string) => (key === `network:${ID}` ? header : undefined) as never,
    item: (key: string, item: string) => items.get(key)?.get(item) as never,
    itemKeys: (key: string) => items.get(key)?.keys() ?? [],
    size: (key: string) => items.get(key)?.size ?? 0,
  };
  const zones = new NetworkZones(slices);
  const put = (kind: 'endpoints' | 'names', item: string, value: Partial<Endpoint> | PortNames | undefined): void => {
    const key: SliceKey = `${kind}:${ID}`;
    const all = items.get(key) ?? new Map<string, unknown>();
    items.set(key, all);
    if (value === undefined) all.delete(item);
    else all.set(item, value);
    zones.take({ changes: [{ key, item }] });
  };
  const setHeader = (next: NetworkHeader | undefined): void => {
    header = next;
    zones.take({ changes: [{ key: `network:${ID}`, item: null }] });
  };
  const has = (name: string): boolean => {
    const zone = zones.get(ID);
    return zone instanceof NetworkZone && zone.entry(parseDnsName(name) ?? []) !== undefined;
  };
  return { zones, put, setHeader, has, header: () => header };
}

test('names that were there before the first question and that come after it are known, until they go', () => {
  const { put, has } = fixture();
  put('names', 'a', { name: 'web', domain: '', ipAddresses: ['10.0.0.5'] });
  put('endpoints', 'b', { ipAddresses: ['10.0.0.6'] });
  assert.deepEqual([has('web'), has('host-10-0-0-6'), has('db')], [true, true, false]);
  put('names', 'c', { name: 'db', domain: '', ipAddresses: ['10.0.0.7'] });
  put('endpoints', 'b', { ipAddresses: ['10.0.0.8'] });
  assert.deepEqual([has('db'), has('host-10-0-0-6'), has('host-10-0-0-8')], [true, false, true]);
  put('names', 'a', undefined);
  put('endpoints', 'b', undefined);
  assert.deepEqual([has('web'), has('host-10-0-0-8'), has('db')], [false, false, true]);
});

test('a large network is put together in turns, with what changes meanwhile', async () => {
  const { zones, put, has } = fixture();
  for (let n = 0; n < 20_000; n += 1)
    put('names', `p${n}`, { name: `web-${n}`, domain: '', ipAddresses: ['10.0.0.5'] });
  const making = zones.get(ID);
  assert.ok(making instanceof Promise);
  put('names', 'p0', undefined);
  put('names', 'p19999', { name: 'last', domain: '', ipAddresses: ['10.0.0.5'] });
  put('names', 'new', { name: 'new', domain: '', ipAddresses: ['10.0.0.6'] });
  assert.equal(zones.get(ID), making, 'the next question waits for the same');
  await making;
  assert.deepEqual(['web-0', 'web-1', 'web-19999', 'last', 'new'].map(has), [false, true, false, true, true]);
});

test('a network that gets another domain or another gateway has other names; one that is gone has none', () => {
  const { zones, put, has, setHeader, header } = fixture();
  put('names', 'a', { name: 'web', domain: '', ipAddresses: ['10.0.0.5'] });
  assert.deepEqual([has('web.openstacklocal'), has('host-10-0-0-1')], [true, true]);
  const network = header();
  assert.ok(network);
  setHeader({ ...network, dnsDomain: 'example.org.', subnets: [sampleSubnet(1, { gatewayIp: null })] });
  assert.deepEqual([has('web.openstacklocal'), has('web.example.org'), has('host-10-0-0-1')], [false, true, false]);
  setHeader(undefined);
  assert.equal(zones.get(ID), undefined);
});
