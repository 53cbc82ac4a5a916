/** Neutron's taps and mirrors through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Harness, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const OTHER = { 'x-project-id': 'q', 'x-roles': 'member' };
const SERVICES = '/v2.0/taas/tap_services';
const FLOWS = '/v2.0/taas/tap_flows';
const MIRRORS = '/v2.0/taas/tap_mirrors';

type Send = Harness['send'];
type Fields = Readonly<Record<string, unknown>>;

async function made(send: Send, path: string, name: string, fields: Fields, headers: Fields = MEMBER): Promise<Fields> {
  const { status, body } = await send('POST', path, { [name]: fields }, headers as never);
  assert.equal(status, 201, JSON.stringify(body));
  return body[name] as unknown as Fields;
}

/** Ports of project p in a network of its own. */
async function portsOf(send: Send, count: number): Promise<string[]> {
  const network = await made(send, '/v2.0/networks', 'network', {});
  const ports: string[] = [];
  for (let n = 0; n < count; n += 1) {
    ports.push(String((await made(send, '/v2.0/ports', 'port', { network_id: network['id'] }))['id']));
  }
  return ports;
}

const collector = (port: string, fields: Fields = {}): Fields => ({
  ...{ port_id: port, directions: { IN: 101, OUT: 102 }, remote_ip: '192.0.2.50', mirror_type: 'erspanv1' },
  project_id: 'p',
  ...fields,
});

test('a member taps his ports: service, flows, filter; deleting the service takes its flows along', async (t) => {
  const { send, server } = await startHarness(t);
  const [a, b] = (await portsOf(send, 2)) as [string, string];
  const service = await made(send, SERVICES, 'tap_service', { name: 'ids', port_id: b });
  assert.deepEqual([service['status'], service['vni']], ['DOWN', undefined]);
  const filter = [{ protocol: 'tcp', remote_ip_prefix: '198.51.100.0/24', port_range_min: 443 }];
  const flow = await made(send, FLOWS, 'tap_flow', {
    ...{ source_port: a, tap_service_id: service['id'], direction: 'BOTH', 'cable:filter': filter },
  });
  assert.deepEqual([flow['direction'], flow['cable:max_kbps'], flow['in_place']], ['BOTH', 1_000_000, undefined]);
  assert.deepEqual(flow['cable:filter'], filter);
  const path = `${FLOWS}/${flow['id']}`;
  assert.equal((await send('PUT', path, { tap_flow: { 'cable:filter': [] } }, MEMBER)).status, 200);
  await refused(send('PUT', path, { tap_flow: { 'cable:max_kbps': 5 } }, MEMBER), 403, 'PolicyNotAuthorized');
  assert.equal((await send('PUT', path, { tap_flow: { 'cable:max_kbps': 5 } })).status, 200);
  await assertInvariants(server);
  assert.equal((await send('DELETE', `${SERVICES}/${service['id']}`, undefined, MEMBER)).status, 204);
  await refused(send('GET', path, undefined, MEMBER), 404, 'TapFlowNotFound');
  await assertInvariants(server);
});

test('a project mirrors its own ports to its own ports, and sees no others', async (t) => {
  const { send, server } = await startHarness(t);
  const [a, b] = (await portsOf(send, 2)) as [string, string];
  const service = await made(send, SERVICES, 'tap_service', { port_id: b });
  await refused(send('POST', SERVICES, { tap_service: { port_id: a } }, OTHER), 404, 'PortNotFound');
  await refused(
    send('POST', SERVICES, { tap_service: { port_id: a, project_id: 'q' } }),
    403,
    'PortDoesNotBelongToTenant',
  );
  const flow = { source_port: a, tap_service_id: service['id'], direction: 'IN' };
  await refused(send('POST', FLOWS, { tap_flow: flow }, OTHER), 404, 'TapServiceNotFound');
  await refused(send('POST', FLOWS, { tap_flow: { ...flow, project_id: 'q' } }), 403, 'PortDoesNotBelongToTenant');
  await refused(send('POST', FLOWS, { tap_flow: { ...flow, source_port: b } }, MEMBER), 400, 'InvalidInput');
  assert.deepEqual((await send('GET', SERVICES, undefined, OTHER)).body['tap_services'], []);
  await refused(send('GET', `${SERVICES}/${service['id']}`, undefined, OTHER), 404, 'TapServiceNotFound');
  await assertInvariants(server);
});

test('a collector is an administrator’s to name', async (t) => {
  const { send, server } = await startHarness(t);
  const [a] = (await portsOf(send, 1)) as [string];
  await refused(send('POST', MIRRORS, { tap_mirror: collector(a) }, MEMBER), 403, 'PolicyNotAuthorized');
  const mirror = await made(send, MIRRORS, 'tap_mirror', collector(a), {});
  assert.deepEqual(mirror['directions'], { IN: 101, OUT: 102 });
  assert.equal((await send('GET', `${MIRRORS}/${mirror['id']}`, undefined, MEMBER)).status, 200);
  const other = collector(a, { directions: { OUT: 101 } });
  await refused(send('POST', MIRRORS, { tap_mirror: other }), 409, 'TapMirrorTunnelConflict');
  for (const [fields, names] of [
    [{ directions: {} }, /directions/],
    [{ directions: { IN: 7, OUT: 7 } }, /directions/],
    [{ directions: { IN: 1024 } }, /1024/],
    [{ directions: { BOTH: 7 } }, /BOTH/],
    [{ directions: { IN: 200 }, remote_ip: '2001:db8::1' }, /remote_ip/],
    [{ directions: { IN: 200 }, remote_ip: '224.0.0.5' }, /remote_ip/],
    [{ directions: { IN: 200 }, mirror_type: 'erspanv2' }, /mirror_type/],
    [{ directions: { IN: 200 }, 'cable:filter': [{ protocol: 'nonsense' }] }, /cable:filter\[0\]/],
    [{ directions: { IN: 200 }, 'cable:filter': [{ port_range_min: 9, port_range_max: 8 }] }, /cable:filter\[0\]/],
    [
      { directions: { IN: 200 }, 'cable:filter': Array.from({ length: 9 }, () => ({ protocol: 'tcp' })) },
      /cable:filter/,
    ],
  ] as const) {
    const { status, body } = await send('POST', MIRRORS, { tap_mirror: collector(a, fields) });
    assert.equal(status, 400, JSON.stringify(fields));
    assert.match(JSON.stringify(body), names);
  }
  await made(send, MIRRORS, 'tap_mirror', collector(a, { directions: { IN: 4294967295 }, mirror_type: 'gre' }), {});
  await assertInvariants(server);
});

test('a port has four mirrors of each direction, and a place that is free again is given again', async (t) => {
  const { send, server } = await startHarness(t);
  const [a] = (await portsOf(send, 1)) as [string];
  const made4 = await Promise.all(
    [1, 2, 3, 4].map((n) => made(send, MIRRORS, 'tap_mirror', collector(a, { directions: { IN: n } }), {})),
  );
  await refused(send('POST', MIRRORS, { tap_mirror: collector(a, { directions: { IN: 9 } }) }), 409, 'HTTPConflict');
  await made(send, MIRRORS, 'tap_mirror', collector(a, { directions: { OUT: 9 } }), {});
  assert.equal((await send('DELETE', `${MIRRORS}/${made4[1]?.['id']}`)).status, 204);
  await made(send, MIRRORS, 'tap_mirror', collector(a, { directions: { IN: 10 } }), {});
  await assertInvariants(server);
});

test('a port takes what is about it along, and says whether there is any', async (t) => {
  const { send, server } = await startHarness(t);
  const [a, b, c] = (await portsOf(send, 3)) as [string, string, string];
  const service = await made(send, SERVICES, 'tap_service', { port_id: b });
  for (const port of [a, c]) {
    await made(send, FLOWS, 'tap_flow', { source_port: port, tap_service_id: service['id'], direction: 'OUT' });
  }
  await made(send, MIRRORS, 'tap_mirror', collector(a), {});
  const tapped = (): boolean[] => [a, b, c].map((id) => server.tables.of('port').get(id)?.tapped === true);
  assert.deepEqual(tapped(), [true, true, true]);
  assert.equal((await send('DELETE', `/v2.0/ports/${a}`, undefined, MEMBER)).status, 204);
  assert.deepEqual((await send('GET', MIRRORS)).body['tap_mirrors'], []);
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/ports/${b}`, undefined, MEMBER)).status, 204);
  assert.deepEqual((await send('GET', FLOWS)).body['tap_flows'], []);
  assert.deepEqual(tapped(), [false, false, false]);
  await assertInvariants(server);
});
