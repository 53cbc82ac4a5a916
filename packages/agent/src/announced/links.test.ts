import assert from 'node:assert/strict';
import { test } from 'node:test';
import { announcingLinks, type LinkFacts, tagOf } from './links.ts';

const eth0: LinkFacts = {
  ...{ ifindex: 2, name: 'eth0', mac: '02:00:00:00:00:01', up: true, carrier: true },
  addresses: [
    { cidr: '192.0.2.11/24', linkLocal: false },
    { cidr: '192.0.2.12/24', linkLocal: false },
    { cidr: '198.51.100.1/32', linkLocal: false },
    { cidr: '2001:db8::b/64', linkLocal: false },
    { cidr: 'fe80::1/64', linkLocal: true },
  ],
};

test('a host announces what is in the subnets of its links, and in prefixes that were named', () => {
  const { links, tags } = announcingLinks([eth0], ['203.0.113.0/24']);
  const [link] = links;
  assert.deepEqual(tags, ['192.0.2.0/24', '2001:db8::/64', '203.0.113.0/24'].map(tagOf));
  assert.equal(link?.has('192.0.2.200'), tagOf('192.0.2.0/24'));
  assert.equal(link?.has('2001:db8::200'), tagOf('2001:db8::/64'));
  assert.equal(link?.has('203.0.113.9'), tagOf('203.0.113.0/24'));
  for (const other of ['198.51.100.1', '198.51.100.2', 'fe80::9', '2001:db8:1::1'])
    assert.equal(link?.has(other), undefined, other);
  assert.equal(link?.own6, 'fe80::1');
  assert.equal(link?.leadsToHosts, false);
  assert.equal(announcingLinks([eth0], [], ['eth0']).links[0]?.leadsToHosts, true);
});

test('a link that is down or has no carrier announces nothing', () => {
  for (const off of [{ up: false }, { carrier: false }]) {
    assert.deepEqual(announcingLinks([{ ...eth0, ...off }], []), { links: [], tags: [], left: [] });
  }
});

test('of more prefixes than others can be told of the first count, and the others are said', () => {
  const addresses = [5, 3, 1, 2, 4].map((n) => ({ cidr: `10.${n}.0.1/16`, linkLocal: false }));
  const { links, tags, left } = announcingLinks([{ ...eth0, addresses }], []);
  assert.deepEqual(left, ['10.5.0.0/16']);
  assert.equal(tags.length, 4);
  assert.equal(links[0]?.has('10.5.0.9'), undefined);
  assert.equal(links[0]?.has('10.4.0.9'), tagOf('10.4.0.0/16'));
});
