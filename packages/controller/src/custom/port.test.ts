/** Where a Port gets the addresses that it names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AnyObject } from '@cable/model';
import { portKind } from './port.ts';
import type { Work } from './work.ts';

const SUBNETS = [
  { id: 's1', name: 'one', network_id: 'net', cidr: '10.1.0.0/24' },
  { id: 's2', name: 'two', network_id: 'net', cidr: '10.2.0.0/24' },
];

test('a Port has its addresses in the subnet that it names, and in no other of the same network', async () => {
  const asked: unknown[] = [];
  const apply = (subnet: string, ipAddresses: readonly string[]) => {
    const work = {
      ...{ namespace: 'shop', name: 'db', client: { list: async () => SUBNETS }, deps: { find: () => undefined } },
      spec: () => ({ subnet, ipAddresses }),
      rows: async () => [],
      findOne: async (_type: string, text: string) => SUBNETS.find(({ name }) => name === text),
      ensure: async (_type: string, { wanted }: { readonly wanted: Readonly<Record<string, unknown>> }) => {
        asked.push(wanted['fixed_ips']);
        return { id: 'p', ...wanted } as AnyObject;
      },
    };
    return portKind.apply(work as unknown as Work);
  };
  await apply('two', ['10.2.0.5']);
  assert.deepEqual(asked, [[{ ip_address: '10.2.0.5', subnet_id: 's2' }]]);
  await assert.rejects(
    apply('one', ['10.2.0.5']),
    /ipAddresses: 10\.2\.0\.5 is not in one: its prefix is 10\.1\.0\.0\/24/,
  );
  assert.equal(asked.length, 1);
});
