/** What one pod may ask for is bounded, whatever its annotations are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '@cable/api';
import { furtherOf } from './further-ports.ts';
import { groupsOf } from './pod-place.ts';
import { extrasOf } from './port-extras.ts';
import { WishError } from './wish-error.ts';
import { wishesOf } from './wishes.ts';

const many = (length: number, what = 'g') => Array.from({ length }, (_, n) => `${what}${n}`).join(',');

test('groups and address pairs are at most 64, each once, and the annotation is named', () => {
  for (const name of ['cable.io/security-groups', 'ovn.kubernetes.io/security_groups']) {
    assert.equal(wishesOf({ annotations: { [name]: `${many(64)},g0,g1` } }).securityGroups?.length, 64);
    assert.throws(
      () => wishesOf({ annotations: { [name]: many(131_000) } }),
      (err: Error) => err instanceof WishError && err.message === `annotation ${name}: 131000 are more than 64`,
    );
  }
  assert.throws(() => wishesOf({ annotations: { 'cable.io/allowed-address-pairs': many(65) } }), /pairs: 65 are more/);
});

test('long texts are no names, and no message has them whole', () => {
  const long = 'x'.repeat(100_000);
  for (const name of ['network', 'subnet', 'security-groups', 'mirror', 'allowed-address-pairs', 'mac-address']) {
    assert.throws(
      () => wishesOf({ annotations: { [`cable.io/${name}`]: long } }),
      (err: Error) => err instanceof WishError && err.message.includes(name) && err.message.length < 300,
    );
  }
});

test('networks of Multus are counted before they are read', () => {
  for (const text of [`${','.repeat(200_000)}`, JSON.stringify(Array(50_000).fill({ name: 'blue' }))]) {
    const pod = { namespace: 'shop', annotations: { 'k8s.v1.cni.cncf.io/networks': text } };
    assert.throws(() => furtherOf(pod as never), /networks are more than 32/);
  }
});

test('names of groups and ports are asked for some dozens at once, one request after the other', async () => {
  let [open, most, asked] = [0, 0, 0];
  const list = async (_type: string, { name }: { readonly name: readonly string[] }) => {
    open += 1;
    asked += 1;
    most = Math.max(most, open);
    await new Promise((resolve) => setImmediate(resolve));
    open -= 1;
    return name.map((one) => ({
      ...{ id: `id-${one}`, name: one, project_id: 'p', device_owner: '' },
      fixed_ips: [{ ip_address: `10.0.0.${one.slice(1)}` }],
    }));
  };
  const client = { list } as unknown as Client;
  const names = many(64).split(',');
  const { ids } = await groupsOf({ client, projectId: 'p' }, names);
  assert.deepEqual(
    ids,
    names.map((one) => `id-${one}`),
  );
  const { pairs } = await extrasOf(client, { pairs: ['10.1.0.0/24', ...names] }, null);
  assert.deepEqual([pairs.length, pairs[0], pairs[64]], [65, '10.1.0.0/24', '10.0.0.63']);
  assert.deepEqual([most, asked], [1, 8]);
});

test('a rate is any quantity of Kubernetes; Kube-OVN’s are plain numbers of Mbit/s', () => {
  const kbps = (name: string, text: string): number => wishesOf({ annotations: { [name]: text } }).rates.ingressKbps;
  const ours = 'kubernetes.io/ingress-bandwidth';
  const said = {
    '10M': 10_000,
    '1e7': 10_000,
    '1.5E6': 1500,
    '2k': 2,
    '1Mi': 1049,
    '3000000m': 3,
    '1P': 1e12,
    '1E': 1e15,
    '0': 0,
  };
  for (const [text, wanted] of Object.entries(said))
    assert.equal(kbps(ours, text), Math.min(wanted, 2_147_483_647), text);
  assert.equal(kbps('ovn.kubernetes.io/ingress_rate', '1.5'), 1500);
  for (const [name, text] of [
    [ours, 'fast'],
    [ours, '-1'],
    [ours, '1e999'],
    [ours, '1ee3'],
    ['ovn.kubernetes.io/ingress_rate', '10M'],
  ] as const)
    assert.throws(
      () => kbps(name, text),
      (err: Error) => err instanceof WishError && err.message.startsWith(`annotation ${name}: "${text}" is no rate`),
    );
});
