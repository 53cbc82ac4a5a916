import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { formatDnsName, type PortNames, parseDnsName, parseIp } from '@cable/model';
import { NetworkZone } from './dns-zone.ts';

const SOURCE = { domain: 'example.org.', cidrs: ['10.0.0.0/24', 'fd00::/64'], gatewayIps: ['10.0.0.1'] };

function lookup(zone: NetworkZone, name: string): string {
  const entry = zone.entry(parseDnsName(name) ?? []);
  if (entry === undefined) return 'none';
  return [...entry.v4.map((one) => one.join('.')), ...entry.v6.map((one) => Buffer.from(one).toString('hex'))].join(
    ' ',
  );
}

function reverse(zone: NetworkZone, address: string): string {
  const ip = parseIp(address);
  return ip === undefined ? 'none' : (zone.namesOf(ip)?.map(formatDnsName).join(' ') ?? 'none');
}

const names = (name: string, ipAddresses: readonly string[], domain = ''): PortNames => ({ name, domain, ipAddresses });

test('a port without a name has Neutron’s default one, in whole and alone, and so has the gateway', () => {
  const zone = new NetworkZone(SOURCE);
  zone.setEndpoint('a', ['10.0.0.5', 'fd00::5']);
  assert.equal(lookup(zone, 'host-10-0-0-5.example.org'), '10.0.0.5');
  assert.equal(lookup(zone, 'HOST-10-0-0-5'), '10.0.0.5');
  assert.equal(lookup(zone, 'host-fd00--5.example.org'), 'fd000000000000000000000000000005');
  assert.equal(lookup(zone, 'host-10-0-0-1.example.org'), '10.0.0.1');
  assert.equal(reverse(zone, '10.0.0.5'), 'host-10-0-0-5.example.org.');
  assert.equal(reverse(zone, '10.0.0.1'), 'host-10-0-0-1.example.org.');
  for (const none of ['host-10-0-0-6.example.org', 'host-10-0-0-5.example.com', 'host-10-0-0-05', 'host-x', 'host-'])
    assert.equal(lookup(zone, none), 'none', none);
});

test('a name takes the default one’s place, and gives it back', () => {
  const zone = new NetworkZone(SOURCE);
  zone.setEndpoint('a', ['10.0.0.5']);
  zone.setPort('a', names('web', ['10.0.0.5']));
  assert.deepEqual([lookup(zone, 'web.example.org'), lookup(zone, 'web')], ['10.0.0.5', '10.0.0.5']);
  assert.equal(lookup(zone, 'host-10-0-0-5.example.org'), 'none');
  assert.equal(reverse(zone, '10.0.0.5'), 'web.example.org.');
  zone.setPort('a', undefined);
  assert.equal(lookup(zone, 'web'), 'none');
  assert.equal(reverse(zone, '10.0.0.5'), 'host-10-0-0-5.example.org.');
  zone.setEndpoint('a', undefined);
  assert.equal(reverse(zone, '10.0.0.5'), 'none');
});

test('ports with one name are told together, also one that no host carries', () => {
  const zone = new NetworkZone(SOURCE);
  zone.setPort('a', names('web', ['10.0.0.5']));
  zone.setPort('b', names('web.example.org.', ['10.0.0.6']));
  assert.equal(lookup(zone, 'web.example.org').split(' ').sort().join(' '), '10.0.0.5 10.0.0.6');
  assert.equal(reverse(zone, '10.0.0.6'), 'web.example.org.');
});

test('a port’s own domain is its name’s and its default name’s', () => {
  const zone = new NetworkZone(SOURCE);
  zone.setPort('a', names('web', ['10.0.0.5'], 'other.net.'));
  zone.setEndpoint('b', ['10.0.0.6']);
  zone.setPort('b', names('', ['10.0.0.6'], 'other.net.'));
  assert.equal(lookup(zone, 'web.other.net'), '10.0.0.5');
  assert.equal(lookup(zone, 'web'), '10.0.0.5');
  assert.equal(lookup(zone, 'web.example.org'), 'none');
  assert.equal(lookup(zone, 'host-10-0-0-6.other.net'), '10.0.0.6');
  assert.equal(lookup(zone, 'host-10-0-0-6.example.org'), 'none');
});

test('names between a name and the domain exist as long as it does', () => {
  const zone = new NetworkZone(SOURCE);
  zone.setPort('a', names('db.inner', ['10.0.0.5']));
  assert.equal(lookup(zone, 'inner.example.org'), '');
  assert.equal(lookup(zone, 'db.inner'), '10.0.0.5');
  zone.setPort('a', names('db.inner.example.org.', ['10.0.0.5']));
  assert.equal(lookup(zone, 'inner.example.org'), '');
  zone.setPort('a', names('db.inner', ['10.0.0.5'], 'other.net.'));
  assert.equal(lookup(zone, 'inner.example.org'), 'none');
  zone.setPort('a', undefined);
  assert.equal(lookup(zone, 'inner.example.org'), 'none');
});

test('another domain is that of all names at once', () => {
  const zone = new NetworkZone(SOURCE);
  zone.setPort('a', names('web', ['10.0.0.5']));
  zone.setEndpoint('b', ['10.0.0.6']);
  zone.setSource({ ...SOURCE, domain: 'next.example.', gatewayIps: [] });
  assert.deepEqual([lookup(zone, 'web.example.org'), lookup(zone, 'web.next.example')], ['none', '10.0.0.5']);
  assert.equal(lookup(zone, 'host-10-0-0-6.next.example'), '10.0.0.6');
  assert.equal(reverse(zone, '10.0.0.5'), 'web.next.example.');
  assert.equal(lookup(zone, 'host-10-0-0-1'), 'none');
});

test('without a domain, or with none that is one: openstacklocal', () => {
  for (const domain of ['', 'a..b']) {
    assert.equal(formatDnsName(new NetworkZone({ ...SOURCE, domain }).domain), 'openstacklocal.');
  }
});

test('property: whatever changes in whatever order, the zone is that of what is there', () => {
  const random = seededRandom(7);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const zone = new NetworkZone(SOURCE);
  const ports = new Map<string, PortNames>();
  const endpoints = new Map<string, readonly string[]>();
  const addresses = ['10.0.0.5', '10.0.0.6', '10.0.0.7', 'fd00::5'];
  const labels = ['', 'web', 'db.inner', 'x.example.org.', 'host-10-0-0-5'];
  const asked = [
    ...labels.map((one) => `${one || 'none'}.example.org`),
    'web',
    'host-10-0-0-6',
    'inner.example.org',
    'web.other.net',
  ];
  for (let step = 0; step < 3_000; step += 1) {
    const id = pick(['a', 'b', 'c']);
    const some = addresses.filter(() => random() < 0.5);
    const isGone = random() < 0.3;
    if (random() < 0.5) {
      const next = isGone ? undefined : names(pick(labels), some, pick(['', 'other.net.']));
      zone.setPort(id, next);
      if (next === undefined) ports.delete(id);
      else ports.set(id, next);
    } else {
      zone.setEndpoint(id, isGone ? undefined : some);
      if (isGone) endpoints.delete(id);
      else endpoints.set(id, some);
    }
    const fresh = new NetworkZone(SOURCE);
    for (const [one, list] of endpoints) fresh.setEndpoint(one, list);
    for (const [one, given] of ports) fresh.setPort(one, given);
    const sorted = (text: string): string => text.split(' ').sort().join(' ');
    for (const name of asked) assert.equal(sorted(lookup(zone, name)), sorted(lookup(fresh, name)), name);
    for (const address of addresses) assert.equal(sorted(reverse(zone, address)), sorted(reverse(fresh, address)));
  }
});
