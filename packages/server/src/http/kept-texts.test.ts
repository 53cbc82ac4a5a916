/** What a list says of an object is what its show says, whatever of it was kept from the list before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, type Harness, type Json, startHarness } from '../testing/harness.ts';

async function done(answer: Promise<Answer>): Promise<Json> {
  const { status, body } = await answer;
  assert.ok(status < 300, JSON.stringify(body));
  return body;
}

/** Lists the ports, for an administrator and for their project, and compares each with its show. Answers the ports as the administrator sees them. */
async function listed({ send }: Harness): Promise<readonly Json[]> {
  let ports: readonly Json[] = [];
  for (const headers of [{ 'x-project-id': 'p', 'x-roles': 'member' }, undefined]) {
    ports = (await done(send('GET', '/v2.0/ports', undefined, headers)))['ports'] ?? [];
    for (const port of ports) {
      const shown = (await done(send('GET', `/v2.0/ports/${port['id']}`, undefined, headers)))['port'];
      // A show has attributes that a list has not, and no other way round.
      for (const [name, value] of Object.entries(port)) assert.deepEqual(value, shown?.[name], name);
    }
  }
  return ports;
}

test('a listed port shows its host, network, policy and trunk as they are now', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const owner = { 'x-project-id': 'p' };
  const provider = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
  const network = String((await create('network', { ...provider, dns_domain: 'a.example.' }, owner))['id']);
  await create('subnet', { network_id: network, ip_version: 4, cidr: '10.0.0.0/24' }, owner);
  const make = (name: string) => create('port', { network_id: network, dns_name: name, name }, owner);
  const [parent, child] = [await make('one'), await make('two')].map((port) => String(port['id']));
  const bound = async (): Promise<Json> => {
    const found = (await listed(harness)).find((port) => String(port['id']) === parent);
    assert.ok(found !== undefined);
    return found;
  };

  assert.equal((await bound())['binding:vif_type'], 'unbound');
  const before = JSON.stringify((await bound())['dns_assignment']);
  assert.match(before, /one\.a\.example\./);
  await done(send('PUT', `/v2.0/networks/${network}`, { network: { dns_domain: 'b.example.' } }));
  assert.equal(JSON.stringify((await bound())['dns_assignment']), before.replaceAll('a.example.', 'b.example.'));

  await done(send('PUT', `/v2.0/ports/${parent}`, { port: { 'binding:host_id': 'h1' } }));
  assert.equal((await bound())['binding:vif_type'], 'binding_failed');
  const host = (bridgeMappings: object) =>
    done(send('PUT', '/cable/v1/hosts/h1', { underlay: '192.0.2.1', agentVersion: 'test', bridgeMappings }));
  await host({ physnet1: 'eth1' });
  await done(send('PUT', `/v2.0/ports/${parent}`, { port: { 'binding:host_id': '' } }));
  await done(send('PUT', `/v2.0/ports/${parent}`, { port: { 'binding:host_id': 'h1' } }));
  const plugged = (await bound())['binding:vif_type'];
  assert.notEqual(plugged, 'binding_failed');
  await host({ other: 'eth1' });
  assert.equal((await bound())['binding:vif_type'], 'binding_failed');
  await host({ physnet1: 'eth1' });
  assert.deepEqual((await bound())['binding:vif_type'], plugged);

  const policy = String((await create('qos_policy', {}, owner))['id']);
  await done(send('PUT', `/v2.0/networks/${network}`, { network: { qos_policy_id: policy } }));
  assert.deepEqual([(await bound())['qos_network_policy_id'], (await bound())['resource_request']], [policy, null]);
  const rules = `/v2.0/qos/policies/${policy}/minimum_bandwidth_rules`;
  await done(send('PUT', `/v2.0/ports/${parent}`, { port: { 'binding:host_id': '' } }));
  await done(send('POST', rules, { minimum_bandwidth_rule: { min_kbps: 100, direction: 'egress' } }));
  assert.notEqual((await bound())['resource_request'], null);
  await done(send('PUT', `/v2.0/networks/${network}`, { network: { qos_policy_id: null } }));
  assert.deepEqual([(await bound())['qos_network_policy_id'], (await bound())['resource_request']], [null, null]);

  const trunk = await create('trunk', { port_id: parent, sub_ports: [] }, owner);
  assert.equal((await bound())['trunk_details']?.['trunk_id'], trunk['id']);
  const subPorts = { sub_ports: [{ port_id: child, segmentation_type: 'vlan', segmentation_id: 5 }] };
  await done(send('PUT', `/v2.0/trunks/${trunk['id']}/add_subports`, subPorts));
  const [sub] = (await bound())['trunk_details']?.['sub_ports'] ?? [];
  await done(send('PUT', `/v2.0/ports/${child}`, { port: { mac_address: 'fa:16:3e:00:00:99' } }));
  const [moved] = (await bound())['trunk_details']?.['sub_ports'] ?? [];
  assert.deepEqual(moved, { ...sub, mac_address: 'fa:16:3e:00:00:99' });
  await done(send('DELETE', `/v2.0/trunks/${trunk['id']}`));
  assert.equal((await bound())['trunk_details'], undefined);
});
