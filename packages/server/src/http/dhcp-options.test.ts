import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, startHarness } from '../testing/harness.ts';

const opt = (opt_name: string, opt_value: string | null, ip_version = 4) => ({ opt_name, opt_value, ip_version });

test('extra DHCP options: an update changes those that it names, null removes, versions stand apart', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const given = [opt('bootfile-name', 'pxelinux.0'), { opt_name: 'mtu', opt_value: '1400' }, opt('router', null)];
  const port = await create('port', { network_id: network['id'], extra_dhcp_opts: given });
  assert.deepEqual(port['extra_dhcp_opts'], [opt('bootfile-name', 'pxelinux.0'), opt('mtu', '1400')]);
  const path = `/v2.0/ports/${port['id']}`;
  const put = async (extra_dhcp_opts: unknown): Promise<unknown> =>
    (await send('PUT', path, { port: { extra_dhcp_opts } })).body['port']?.['extra_dhcp_opts'];
  const changes = [opt('mtu', '1300'), opt('router', ''), opt('dns-server', '2001:db8::1', 6), opt('ntp-server', null)];
  const after = [opt('bootfile-name', 'pxelinux.0'), opt('mtu', '1300'), opt('router', '')];
  assert.deepEqual(await put(changes), [...after, opt('dns-server', '2001:db8::1', 6)]);
  assert.deepEqual(await put([]), [...after, opt('dns-server', '2001:db8::1', 6)]);
  assert.deepEqual(await put([opt('mtu', null), opt('dns-server', null)]), [
    opt('bootfile-name', 'pxelinux.0'),
    opt('router', ''),
    opt('dns-server', '2001:db8::1', 6),
  ]);
  const renamed = await send('PUT', path, { port: { name: 'x' } });
  assert.equal(renamed.body['port']?.['extra_dhcp_opts']?.length, 3);
  assert.equal((await send('GET', '/v2.0/extensions/extra_dhcp_opt')).status, 200);
});

test('a name that DHCPv4 alone knows is taken for IPv6, too', async (t) => {
  const { create } = await startHarness(t);
  const network = await create('network', {});
  const options = [opt('tftp-server', '2015::1', 6), opt('tftp-server', '192.0.2.1')];
  const port = await create('port', { network_id: network['id'], extra_dhcp_opts: options });
  assert.deepEqual(port['extra_dhcp_opts'], options);
});

test('an IPv6 address is taken where an address of DHCPv4 is meant', async (t) => {
  const { create } = await startHarness(t);
  const network = await create('network', {});
  const [given, shown] = [
    { opt_name: 'server-ip-address', opt_value: '2015::dead' },
    opt('server-ip-address', '2015::dead'),
  ];
  const port = await create('port', { network_id: network['id'], extra_dhcp_opts: [given] });
  assert.deepEqual(port['extra_dhcp_opts'], [shown]);
});

test('what Ironic gives a port is taken: iPXE’s absence as !175, and the identifier of a client, which nobody is sent', async (t) => {
  const { create } = await startHarness(t);
  const network = await create('network', {});
  const options = [opt('!175,67', 'undionly.kpxe'), opt('61', 'ff:00:00:02:c9:00'), opt('client-id', '01:02')];
  const port = await create('port', { network_id: network['id'], extra_dhcp_opts: options });
  assert.deepEqual(port['extra_dhcp_opts'], options);
});

test('extra DHCP options that no server could send are refused, with field and remedy', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const cases: readonly (readonly [object, RegExp])[] = [
    [opt('no-such', 'x'), /opt_name: no-such: no such option of DHCPv4: give a number, or one of netmask/],
    [opt('no-such', 'x', 6), /opt_name: no-such: no such option of DHCPv6/],
    [opt('dns-server', 'x'), /opt_value: dns-server wants addresses/],
    [opt('bootfile-name', ''), /opt_value: bootfile-name has no value/],
    [opt('51', '60'), /the DHCP server alone sets this option/],
    [opt('mtu', '9000', 5), /ip_version: '5' is not in \[4, 6\]/],
    [{ opt_name: 'mtu' }, /Expected keys not found: opt_value/],
    [opt('bootfile-name', 'x'.repeat(256)), /exceeds maximum length of 255/],
  ];
  for (const [option, wanted] of cases) {
    const body = { port: { network_id: network['id'], extra_dhcp_opts: [option] } };
    assert.match(await refused(send('POST', '/v2.0/ports', body), 400, 'HTTPBadRequest'), wanted);
  }
  const twice = { port: { network_id: network['id'], extra_dhcp_opts: [opt('mtu', '1'), opt('mtu', '2')] } };
  assert.match(await refused(send('POST', '/v2.0/ports', twice), 400, 'HTTPBadRequest'), /mtu is there twice for IPv4/);
});

test('a port has no more than 64 extra DHCP options, in however many requests', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const many = (from: number, count: number) => Array.from({ length: count }, (_, n) => opt(String(from + n), 'x'));
  const port = await create('port', { network_id: network['id'], extra_dhcp_opts: many(151, 60) });
  const body = { port: { extra_dhcp_opts: many(212, 5) } };
  const path = `/v2.0/ports/${port['id']}`;
  assert.match(
    await refused(send('PUT', path, body), 400, 'HTTPBadRequest'),
    /the port has 65 options then, more than 64/,
  );
});
