import assert from 'node:assert/strict';
import { test } from 'node:test';
import { model, PORT } from '../protons/protons.fixture.ts';
import { DASHED_PROJECT, MEMBER, PROJECT, STRANGER, startDoor } from './testing/door.fixture.ts';
import type { UserContext } from './testing/plugin.ts';

const NOVA: UserContext = { tenant_id: 'services', roles: ['service'], user_id: 'nova' };
const VM = '5b2f6c1e-8d7a-4f3b-9c2d-1e0f9a8b7c6d';

test('the plug-in’s door shows, binds and deletes a port of a proton', async (t) => {
  const { edge, plugin } = await startDoor(t);
  const ask = async (method: string, path: string, body: object): Promise<Readonly<Record<string, unknown>>> => {
    const { status, text } = await edge.ask(method, path, { body: JSON.stringify(body) });
    assert.ok(status < 300, text);
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  };
  await ask('POST', '/cable/v1/protons/install', { files: model('net-l3vpn') });
  const { id } = await ask('POST', '/proton/net-l3vpn/v1.0/ports', { ...PORT, tenant_id: PROJECT });
  const port = String(id);
  const shown = await plugin.get('port', MEMBER, port);
  assert.equal(shown.status, 200, JSON.stringify(shown.body));
  assert.deepEqual([shown.body['name'], shown.body['tenant_id']], ['p1', PROJECT]);
  assert.equal((await plugin.get('port', STRANGER, port)).status, 404);
  assert.equal((await plugin.get('port', { ...MEMBER, tenant_id: DASHED_PROJECT }, port)).status, 200);
  const bind = { 'binding:host_id': 'h1', device_id: VM, device_owner: 'compute:nova' };
  const bound = await plugin.updatePort(NOVA, port, bind);
  assert.equal(bound.status, 200, JSON.stringify(bound.body));
  assert.equal(bound.body['binding:vif_type'], 'binding_failed', 'no controller is registered');
  const found = await plugin.list('port', NOVA, { device_id: [VM] });
  assert.equal((found.body as unknown as readonly unknown[]).length, 1);
  assert.equal((await plugin.updatePort(NOVA, port, { name: 'other' })).body['name'], 'other');
  assert.equal((await plugin.delete('port', NOVA, port)).status, 204);
  assert.equal((await plugin.get('port', NOVA, port)).status, 404);
});
