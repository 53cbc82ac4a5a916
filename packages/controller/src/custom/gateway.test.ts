/** Ports of a Gateway that come to lead where others of it led. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import { gatewayKind } from './gateway.ts';
import type { Work } from './work.ts';

type Forwarding = {
  readonly id: string;
  readonly protocol: string;
  readonly external_port: number;
  readonly internal_port_id: string;
  readonly internal_port: number;
};

/** Forwardings of one floating IP, of which no two lead to one port of a pod: so Neutron's API has it. */
function forwardings() {
  const rows = new Map<string, Forwarding>();
  const asked: string[] = [];
  let ids = 0;
  const put = (row: Forwarding): Forwarding => {
    const isTaken = [...rows.values()].some(
      (one) =>
        one.id !== row.id &&
        one.protocol === row.protocol &&
        one.internal_port_id === row.internal_port_id &&
        one.internal_port === row.internal_port,
    );
    if (isTaken) throw new ApiError(400, 'BadRequest', 'a port forwarding leads there already', '');
    rows.set(row.id, row);
    return row;
  };
  const client = {
    list: async () => [...rows.values()],
    create: async (_type: string, body: Omit<Forwarding, 'id'>) => {
      asked.push('create');
      ids += 1;
      return put({ ...body, id: `f-${ids}` });
    },
    update: async (_type: string, id: string, changes: Partial<Forwarding>) => {
      asked.push('update');
      return put({ ...(rows.get(id) as Forwarding), ...changes });
    },
    delete: async (_type: string, id: string) => {
      asked.push('delete');
      rows.delete(id);
    },
  };
  return { client, rows, asked };
}

test('ports of a Gateway change places, and one takes the place of another; the rest is left alone', async () => {
  const { client, rows, asked } = forwardings();
  const apply = async (leads: Readonly<Record<number, string>>): Promise<readonly string[]> => {
    asked.length = 0;
    const ports = Object.entries(leads).map(([port, lead]) => {
      const [pod = '', targetPort] = lead.split(' ');
      return {
        port: Number(port),
        protocol: pod === 'dns' ? 'UDP' : 'TCP',
        target: { pod },
        targetPort: Number(targetPort),
      };
    });
    const work = {
      spec: () => ({ vpc: 'blue', ports }),
      refer: async () => 'router',
      rows: async () => [],
      ensure: async () => ({ id: 'floating', floating_ip_address: '203.0.113.5' }),
      port: async ({ pod }: { readonly pod: string }) => `port-of-${pod}`,
      client: { get: async () => ({ external_gateway_info: { network_id: 'outside' } }), within: () => client },
    } as unknown as Work;
    const { unmet } = await gatewayKind.apply(work);
    assert.equal(unmet, undefined);
    const found = [...rows.values()].map((one) => [one.external_port, `${one.internal_port_id} ${one.internal_port}`]);
    const wanted = Object.entries(leads).map(([port, lead]) => [Number(port), `port-of-${lead}`]);
    assert.deepEqual(found.sort(), wanted.sort());
    return asked;
  };
  await apply({ 80: 'a 1', 81: 'b 1', 82: 'c 1', 53: 'dns 1' });
  assert.deepEqual(await apply({ 80: 'b 1', 81: 'a 1', 82: 'c 1', 53: 'dns 1' }), [
    'delete',
    'delete',
    'create',
    'create',
  ]);
  assert.deepEqual(await apply({ 80: 'b 1', 81: 'c 1', 82: 'c 2', 53: 'dns 1' }), ['delete', 'update', 'create']);
  // A new one to where another leads no more; one that goes elsewhere alone.
  assert.deepEqual(await apply({ 80: 'b 2', 81: 'c 1', 83: 'b 1', 53: 'dns 2' }), [
    'delete',
    'delete',
    'update',
    'create',
    'create',
  ]);
});
