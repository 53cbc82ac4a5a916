import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '@cable/api';
import { silentLogger } from '@cable/kit';
import type { KubeApi } from '@cable/kube';
import type { AnyObject } from '@cable/model';
import { SubnetUsage, type UsedSubnet, usageOf, withoutUsage } from './subnet-usage.ts';

const details = (total: number, used: number) => ({
  ...{ total_ips_in_subnet: total, used_ips_in_subnet: used + 1 },
  ...{ total_ips_in_allocation_pool: total, used_ips_in_allocation_pool: used },
});

function availability(id: string, total: number, used: number, version = 4): AnyObject {
  const subnet = { subnet_id: `${id}-${version}`, ip_version: version, ip_availability_details: details(total, used) };
  return { id, network_id: id, subnet_ip_availability: [subnet] };
}

test('numbers are those of the Subnet’s own subnets; of too many the largest that is exact, of too few none', () => {
  assert.deepEqual(usageOf(availability('n', 10, 4), ['n-4']), { usedIPs: { ipv4: 5 }, availableIPs: { ipv4: 6 } });
  assert.deepEqual(usageOf(availability('n', 4, 10), ['n-4']), { usedIPs: { ipv4: 11 }, availableIPs: { ipv4: 0 } });
  const many = usageOf(availability('n', 2 ** 64, 1, 6), ['n-6']);
  assert.deepEqual(many, { usedIPs: { ipv6: 2 }, availableIPs: { ipv6: Number.MAX_SAFE_INTEGER } });
  assert.deepEqual(usageOf(availability('n', 10, 4), []), { usedIPs: {}, availableIPs: {} });
  const old = { id: 'n', network_id: 'n', subnet_ip_availability: [{ subnet_id: 'n-4', ip_version: 4 }] };
  assert.equal(usageOf(old, ['n-4']), undefined);
  assert.deepEqual(withoutUsage({ id: 'n', usedIPs: { ipv4: 1 }, availableIPs: {} }), { id: 'n' });
});

test('made by who is to end already, it leaves no timer', () => {
  const timers = () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  const before = timers();
  const none = { cable: { as: assert.fail }, kube: {} as KubeApi, log: silentLogger(), signal: AbortSignal.abort() };
  const usage = new SubnetUsage({ ...none, subnets: () => [], workedOn: () => undefined });
  usage.changed('shop/web');
  assert.equal(timers(), before);
});

test('many Subnets are asked for by few requests, and only what is new is written; each write is known once', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  const asked: string[] = [];
  const written: string[] = [];
  const stop = new AbortController();
  t.after(() => stop.abort());
  const used = new Map<string, number>();
  // By name, the work on it that has ended.
  const works = new Map<string, object>();
  const cable = {
    as: (project: string) =>
      ({
        list: (type: string, { network_id: ids }: { network_id: readonly string[] }) => {
          if (type === 'subnet')
            return Promise.resolve(ids.map((id) => ({ id: `${id}-4`, 'cable:gateway_node': 'n2' })));
          asked.push(`${project} ${ids.length}`);
          return Promise.resolve(ids.map((id) => availability(id, 100, used.get(id) ?? 0)));
        },
      }) as unknown as Client,
  };
  const objects = new Map<string, UsedSubnet>();
  for (let at = 0; at < 50; at += 1) {
    const [namespace, name] = [at < 45 ? 'shop' : 'team', `s${at}`];
    const metadata = { namespace, name, resourceVersion: '1' };
    const place = { networkId: name, projectId: `prod.${namespace}`, subnetIds: [`${name}-4`] };
    objects.set(`${namespace}/${name}`, { object: { metadata }, ...place });
  }
  for (const { object } of objects.values()) works.set(object.metadata.name, {});
  let meanwhile = (_name: string): void => undefined;
  const kube = {
    patch: (
      _kind: unknown,
      { namespace, name }: { namespace: string; name: string },
      { status }: { status: object },
    ) => {
      written.push(name);
      meanwhile(name);
      const key = `${namespace}/${name}`;
      const before = objects.get(key) as UsedSubnet;
      const resourceVersion = String(Number(before.object.metadata.resourceVersion) + 1);
      const object = { ...before.object, metadata: { ...before.object.metadata, resourceVersion }, status };
      objects.set(key, { ...before, object: JSON.parse(JSON.stringify(object, (_, value) => value ?? undefined)) });
      return Promise.resolve(object);
    },
  } as unknown as KubeApi;
  const usage = new SubnetUsage({
    ...{ cable, kube, log: silentLogger(), signal: stop.signal },
    workedOn: ({ metadata }) => works.get(metadata.name),
    subnets: (keys = new Set(objects.keys())) => [...keys].flatMap((key) => objects.get(key) ?? []),
  });
  const after = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms);
    for (let turn = 0; turn < 500; turn += 1) await Promise.resolve();
  };
  // One is worked on already, one while it is written.
  works.delete('s1');
  meanwhile = (name) => {
    if (name === 's2') works.set(name, {});
  };
  for (const key of objects.keys()) usage.changed(key);
  await after(500);
  assert.deepEqual(asked, ['prod.shop 20', 'prod.shop 20', 'prod.shop 5', 'prod.team 5']);
  assert.equal(written.length, 50);
  const isOwn = (name: string): boolean => {
    const object = objects.get(`shop/${name}`)?.object;
    return object !== undefined && usage.isOwnWrite(object);
  };
  assert.deepEqual(['s0', 's0', 's1', 's2', 's3'].map(isOwn), [true, false, false, false, true]);
  used.set('s7', 3);
  // It leaves by another node since that which it named first died.
  const moved = objects.get('shop/s8') as UsedSubnet;
  const status = { ...moved.object.status, gatewayNode: 'n1' };
  objects.set('shop/s8', { ...moved, object: { ...moved.object, spec: { gatewayType: 'centralized' }, status } });
  await after(60_000);
  assert.deepEqual([asked.length, written.slice(50)], [8, ['s7', 's8']]);
  assert.equal(objects.get('shop/s8')?.object.status?.['gatewayNode'], 'n2');
  assert.deepEqual(objects.get('shop/s7')?.object.status?.['availableIPs'], { ipv4: 97 });
  stop.abort();
  await after(60_000);
  assert.equal(asked.length, 8);
});
