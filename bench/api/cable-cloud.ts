import { type Cable, startCable } from '../../test/openstack/cable.ts';
import type { Keystone } from '../../test/openstack/keystone.ts';
import { type Cloud, call, createNetwork, HOSTS, placeOf } from './cloud.ts';

/** Ports in a request when many are made. */
const BULK = 500;

/** Starts Cable on an etcd of its own, each answer durable. `close` ends both. */
export async function startCableCloud(
  directory: string,
  keystone: Keystone,
): Promise<{ readonly cloud: Cloud; readonly close: () => Promise<void> }> {
  const cable: Cable = await startCable(directory, keystone, { policyDefaults: 'zed' });
  try {
    const place = placeOf(cable.url, await keystone.token(keystone.admin, { project: 'admin' }));
    for (const [at, host] of HOSTS.entries()) {
      const said = { underlay: `192.0.2.${at + 1}`, agentVersion: 'bench' };
      await call(place, 'PUT', `/cable/v1/hosts/${host}`, said);
    }
    const networkId = await createNetwork(place);
    const fill = async (count: number, from: number): Promise<readonly string[]> => {
      const ids: string[] = [];
      for (let at = 0; at < count; at += BULK) {
        const ports = Array.from({ length: Math.min(BULK, count - at) }, (_, n) => ({
          network_id: networkId,
          device_id: `device-${from + at + n}`,
        }));
        const made = (await call(place, 'POST', '/v2.0/ports', { ports })) as { ports: readonly { id: string }[] };
        ids.push(...made.ports.map(({ id }) => id));
      }
      return ids;
    };
    return { cloud: { name: 'cable', ...place, networkId, fill }, close: () => cable.close() };
  } catch (err) {
    await cable.close();
    throw err;
  }
}
