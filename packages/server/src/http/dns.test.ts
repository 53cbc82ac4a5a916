import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, startHarness } from '../testing/harness.ts';

test('each address has a name: the port’s own or host-, in the domain of port, network or openstacklocal', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const fixed_ips = [{ ip_address: '10.0.0.5' }, { ip_address: '10.0.0.6' }];
  const port = await create('port', { network_id: network['id'], fixed_ips });
  const path = `/v2.0/ports/${port['id']}`;
  const names = async (changes: object = {}): Promise<readonly string[]> => {
    const { body } = await send('PUT', path, { port: changes });
    const all = Array.from(body['port']?.['dns_assignment'] ?? []);
    return all.map((one) => `${one['ip_address']} ${one['hostname']} ${one['fqdn']}`);
  };
  assert.equal(port['dns_name'], '');
  assert.deepEqual(port['dns_assignment'], [
    { ip_address: '10.0.0.5', hostname: 'host-10-0-0-5', fqdn: 'host-10-0-0-5.openstacklocal.' },
    { ip_address: '10.0.0.6', hostname: 'host-10-0-0-6', fqdn: 'host-10-0-0-6.openstacklocal.' },
  ]);
  assert.deepEqual(await names({ dns_name: 'Web' }), [
    '10.0.0.5 web web.openstacklocal.',
    '10.0.0.6 web web.openstacklocal.',
  ]);
  await send('PUT', `/v2.0/networks/${network['id']}`, { network: { dns_domain: 'Example.org.' } });
  assert.deepEqual((await names())[0], '10.0.0.5 web web.example.org.');
  assert.deepEqual((await names({ dns_domain: 'inner.example.org.' }))[0], '10.0.0.5 web web.inner.example.org.');
  const whole = await names({ dns_domain: '', dns_name: 'db.web.example.org.' });
  assert.deepEqual(whole[0], '10.0.0.5 db.web.example.org. db.web.example.org.');
  const listed = await send('GET', '/v2.0/ports?dns_name=db.web.example.org.');
  assert.equal(listed.body['ports']?.length, 1);
});

test('names and domains that are none are refused', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', { dns_domain: 'example.org.' });
  const port = (fields: object) => send('POST', '/v2.0/ports', { port: { network_id: network['id'], ...fields } });
  const long = `${'a'.repeat(60)}.`;
  const cases: readonly (readonly [ReturnType<typeof port>, RegExp])[] = [
    [port({ dns_name: 'a_b' }), /dns_name. Reason: 'a_b' not a valid PQDN or FQDN/],
    [port({ dns_name: '-a' }), /'-a' is no label/],
    [port({ dns_name: 'a..b' }), /'' is no label/],
    [port({ dns_name: 'a.1' }), /TLD '1' must not be all numeric/],
    [port({ dns_name: 'web.example.com.' }), /is a FQDN, and the domain of the port is 'example.org.'/],
    [port({ dns_name: 'example.org.' }), /is a FQDN/],
    [port({ dns_name: `${long.repeat(4).slice(0, -1)}` }), /is longer than 255 characters/],
    [port({ dns_domain: 'example.org' }), /dns_domain. Reason: 'example.org' is not a FQDN\.$/],
    [send('POST', '/v2.0/networks', { network: { dns_domain: 'a b.' } }), /dns_domain. Reason: 'a b.' not a valid/],
    [send('POST', '/v2.0/networks', { network: { dns_domain: 'x' } }), /'x' is not a FQDN/],
  ];
  for (const [answer, wanted] of cases) assert.match(await refused(answer, 400, 'HTTPBadRequest'), wanted);
});

test('floating IPs have no names: nobody outside would be told', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', { 'router:external': true });
  await create('subnet', { network_id: network['id'], cidr: '203.0.113.0/24', ip_version: 4 });
  const given = { floating_network_id: network['id'] };
  const floating = await create('floatingip', { ...given, dns_name: '', dns_domain: '' });
  assert.deepEqual([floating['dns_name'], floating['dns_domain']], ['', '']);
  for (const name of ['dns_name', 'dns_domain']) {
    const body = { floatingip: { ...given, [name]: 'web.example.org.' } };
    const said = await refused(send('POST', '/v2.0/floatingips', body), 400, 'HTTPBadRequest');
    assert.match(said, new RegExp(`Invalid input for ${name}\\. Reason: no name server outside`));
  }
});
