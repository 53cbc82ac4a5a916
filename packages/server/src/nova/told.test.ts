import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FloatingIp, Port } from '@cable/model';
import { dueOf, type PortFacts, type Told, toldOf } from './told.ts';

const PORT = 'a0000000-0000-4000-8000-000000000001';
const SERVER = 'b0000000-0000-4000-8000-000000000001';

function port(given: Partial<Port> = {}): Port {
  return {
    ...{
      id: PORT,
      device_owner: 'compute:nova',
      device_id: SERVER,
      created_at: '2026-11-28T00:00:00Z',
      status: 'DOWN',
    },
    ...{ mac_address: 'fa:16:3e:00:00:01', fixed_ips: [], security_groups: [], admin_state_up: true },
    ...{ 'binding:host_id': 'h1', 'binding:vnic_type': 'normal', inactive_bindings: [] },
    ...given,
  } as unknown as Port;
}

function facts(given: Partial<Port>, up: Record<string, number> = {}, floating: readonly string[] = []): PortFacts {
  const floatingIps = floating.map((one) => ({ floating_ip_address: one, fixed_ip_address: '10.0.0.5' }) as FloatingIp);
  return { port: port(given), up: new Map(Object.entries(up)), floatingIps };
}

/** Names of the events of one look after the other, each as if Nova had taken those of the one before. */
function names(...looks: readonly (PortFacts | undefined)[]): readonly string[] {
  let told: Told | undefined;
  return looks.map((one) => {
    const gone: PortFacts = { port: undefined, up: new Map(), floatingIps: [] };
    const due = dueOf(PORT, one ?? gone, told);
    if (due.told !== undefined) told = due.told ?? undefined;
    return due.events.map(({ name }) => name.replace('network-', '')).join(' ');
  });
}

const UP = { h1: 150 };
const ACTIVE = { status: 'ACTIVE' } as const;

test('a machine that is made, stopped, started and deleted', () => {
  assert.deepEqual(
    names(
      facts({}),
      facts({}, UP),
      facts(ACTIVE, UP),
      facts(ACTIVE, UP),
      facts({}),
      facts(ACTIVE, { h1: 170 }),
      undefined,
    ),
    ['', '', 'vif-plugged', '', 'vif-unplugged', 'vif-plugged', 'vif-deleted'],
  );
});

test('a device that was down between two looks is told again', () => {
  assert.deepEqual(names(facts(ACTIVE, UP), facts(ACTIVE, { h1: 160 })), ['vif-plugged', 'vif-plugged']);
});

test('a machine that moves: the target is told while its binding is inactive, once; an attempt after a failed one is told anew', () => {
  const inactive = (host: string): Partial<Port> => ({
    inactive_bindings: [{ host, vnic_type: 'normal', profile: {}, was_active: false }],
  });
  const moved: Partial<Port> = { ...ACTIVE, 'binding:host_id': 'h2', ...inactive('h1') };
  assert.deepEqual(
    names(
      facts(ACTIVE, UP),
      facts({ ...ACTIVE, ...inactive('h2') }, UP),
      facts({ ...ACTIVE, ...inactive('h2') }, { ...UP, h2: 160 }),
      facts(ACTIVE, UP),
      facts({ ...ACTIVE, ...inactive('h2') }, { ...UP, h2: 180 }),
      facts(moved, { ...UP, h2: 180 }),
      facts({ ...ACTIVE, 'binding:host_id': 'h2' }, { h2: 180 }),
    ),
    ['vif-plugged', '', 'vif-plugged', '', 'vif-plugged', '', ''],
  );
});

test('what Nova keeps of a port is told when it is another: addresses, groups, floating IPs', () => {
  assert.deepEqual(
    names(
      facts(ACTIVE, UP),
      facts({ ...ACTIVE, fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }] }, UP),
      facts({ ...ACTIVE, name: 'other', fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }] } as Partial<Port>, UP),
      facts({ ...ACTIVE, fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }] }, UP, ['203.0.113.5']),
      facts({ ...ACTIVE, fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }] }, UP),
    ),
    ['vif-plugged', 'changed', '', 'changed', 'changed'],
  );
  assert.deepEqual(names(facts({}, {}, ['203.0.113.5'])), ['changed']);
});

test('ports that are no machine’s are no matter of Nova’s', () => {
  assert.deepEqual(names(facts({ device_owner: 'network:dhcp', ...ACTIVE }, UP)), ['']);
  assert.deepEqual(names(facts({ device_id: 'foo', ...ACTIVE }, UP)), ['']);
  assert.deepEqual(names(facts(ACTIVE, UP), facts({ device_id: '', device_owner: '' }), undefined), [
    'vif-plugged',
    '',
    '',
  ]);
});

test('a port that is given to another machine, or whose id is another port’s, begins anew', () => {
  const other = 'b0000000-0000-4000-8000-000000000002';
  assert.deepEqual(names(facts(ACTIVE, UP), facts({ ...ACTIVE, device_id: other }, UP)), [
    'vif-plugged',
    'vif-plugged',
  ]);
  const again = { ...ACTIVE, created_at: '2026-11-28T00:00:09Z' };
  assert.deepEqual(names(facts(ACTIVE, UP), facts(again, { h1: 190 }), undefined), [
    'vif-plugged',
    'vif-plugged',
    'vif-deleted',
  ]);
});

test('what counts as told is not told, and what comes of it is', () => {
  const old = facts(ACTIVE, UP);
  const told = toldOf(SERVER, port(ACTIVE), old);
  const namesOf = (one: PortFacts): readonly string[] => dueOf(PORT, one, told).events.map(({ name }) => name);
  assert.deepEqual(namesOf(old), []);
  assert.deepEqual(namesOf(facts({})), ['network-vif-unplugged']);
  assert.deepEqual(namesOf({ ...old, port: undefined }), ['network-vif-deleted']);
});
