import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseUpstream } from './dns-forwarder.ts';
import { hostUpstreams, parseResolvConf } from './dns-upstreams.ts';

const directory = mkdtempSync(join(tmpdir(), `cable-resolv-${process.pid}-`));
after(() => rmSync(directory, { recursive: true }));

test('resolv.conf: the first three servers, whatever else is there', () => {
  const text =
    '# nameserver 9.9.9.9\nsearch a\nnameserver\t192.0.2.1\n nameserver 192.0.2.9\nnameserver 2001:db8::1 # x\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n';
  assert.deepEqual(parseResolvConf(text), ['192.0.2.1', '2001:db8::1', '192.0.2.2']);
  assert.deepEqual(parseResolvConf(''), []);
});

test('the host’s servers: never itself; those of systemd-resolved behind its stub; a changed file is seen', () => {
  const [first, second] = [join(directory, 'resolv.conf'), join(directory, 'resolved.conf')];
  let now = 0;
  const servers = hostUpstreams({ ownAddresses: () => ['192.0.2.10'], now: () => now, files: [first, second] });
  const addresses = (): readonly string[] => servers().map(({ address, port }) => `${address}:${port}`);
  assert.deepEqual(addresses(), []);
  writeFileSync(first, 'nameserver 127.0.0.53\nnameserver 192.0.2.10\n');
  writeFileSync(second, 'nameserver 192.0.2.53\n');
  assert.deepEqual(addresses(), [], 'not looked at again yet');
  now = 5_000;
  assert.deepEqual(addresses(), ['192.0.2.53:53']);
  writeFileSync(first, 'nameserver 192.0.2.54\nnameserver 192.0.2.54\n');
  now = 10_000;
  assert.deepEqual(addresses(), ['192.0.2.54:53']);
  rmSync(first);
  rmSync(second);
  now = 15_000;
  assert.deepEqual(addresses(), []);
});

test('of a pod’s agent: whoever puts another file into the node’s directory is followed, and where its link leads nowhere the next file counts', () => {
  const node = mkdtempSync(join(directory, 'node-'));
  const file = join(node, 'resolv.conf');
  const own = join(directory, 'pod.conf');
  let now = 0;
  const servers = hostUpstreams({ ownAddresses: () => [], now: () => now, files: [file, own] });
  const addresses = (): readonly string[] => {
    now += 5_000;
    return servers().map(({ address }) => address);
  };
  writeFileSync(own, 'nameserver 192.0.2.60\n');
  symlinkSync('../run/NetworkManager/resolv.conf', file);
  assert.deepEqual(addresses(), ['192.0.2.60']);
  for (const address of ['192.0.2.61', '192.0.2.62']) {
    writeFileSync(join(node, 'new'), `nameserver ${address}\n`);
    renameSync(join(node, 'new'), file);
    assert.deepEqual(addresses(), [address]);
  }
});

for (const [text, expected] of [
  ['192.0.2.53', '192.0.2.53 53'],
  ['192.0.2.53:5353', '192.0.2.53 5353'],
  ['2001:db8::53', '2001:db8::53 53'],
  ['[2001:DB8::53]:5353', '2001:db8::53 5353'],
  ['127.0.0.1:5300', '127.0.0.1 5300'],
  ['::1', '::1 53'],
  ['198.18.0.1', 'refused'],
  ['0.0.0.0', 'refused'],
  ['224.0.0.251', 'refused'],
  ['169.254.169.254', '169.254.169.254 53'],
  ['169.254.20.10', 'refused'],
  ['fe80::1', 'refused'],
  ['192.0.2.53:0', 'refused'],
  ['192.0.2.53:65536', 'refused'],
  ['dns.example', 'refused'],
  ['', 'refused'],
] as const) {
  test(`an operator’s server ${text}: ${expected}`, () => {
    const upstream = parseUpstream(text);
    assert.equal(upstream === undefined ? 'refused' : `${upstream.address} ${upstream.port}`, expected);
  });
}
