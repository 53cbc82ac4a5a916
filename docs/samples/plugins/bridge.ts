/**
 * A back end of Linux bridges, by @cable/plugin: each network is a bridge of this machine, each port that is bound to it a namespace (cbp-…) with a veth in that bridge.
 *
 *   node --import tsx docs/samples/plugins/bridge.ts SOCKET HOST TOKEN
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createPluginServer, type PluginHandlers, type Refused, type ResourceName } from '@cable/plugin';

type Fields = Readonly<Record<string, unknown>>;

const run = promisify(execFile);

/** Runs `ip`. Throws what it says. */
async function ip(...args: readonly string[]): Promise<string> {
  return (await run('ip', [...args])).stdout;
}

/** The same where it does not matter that it is so already, or is not there any more. */
async function ipIfNeeded(...args: readonly string[]): Promise<void> {
  await ip(...args).catch((err: unknown) => {
    if (!/File exists|Cannot find device|No such file|does not exist/.test(String(err))) throw err;
  });
}

const bridgeOf = (networkId: string): string => `cbr${networkId.replaceAll('-', '').slice(0, 11)}`;
const deviceOf = (portId: string): string => `cv${portId.replaceAll('-', '').slice(0, 11)}`;
const spaceOf = (portId: string): string => `cbp-${portId.slice(0, 13)}`;

function createHandlers(host: string): PluginHandlers {
  const prefixes = new Map<string, string>();

  async function putPort(port: Fields): Promise<Fields> {
    const id = String(port['id']);
    const space = spaceOf(id);
    if (port['binding:host_id'] !== host) {
      await removePort(id);
      return { status: 'DOWN' };
    }
    const device = deviceOf(id);
    await ipIfNeeded('netns', 'add', space);
    const isThere = await ip('link', 'show', device).then(
      () => true,
      () => false,
    );
    if (!isThere) {
      const mac = String(port['mac_address']);
      await ip('link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'address', mac, 'netns', space);
      await ip('link', 'set', device, 'master', bridgeOf(String(port['network_id'])));
    }
    for (const fixed of (port['fixed_ips'] ?? []) as readonly Fields[]) {
      const length = prefixes.get(String(fixed['subnet_id'])) ?? '32';
      await ipIfNeeded('-n', space, 'address', 'add', `${String(fixed['ip_address'])}/${length}`, 'dev', 'eth0');
    }
    await ip('link', 'set', device, 'up');
    await ip('-n', space, 'link', 'set', 'eth0', 'up');
    return { status: 'ACTIVE' };
  }

  async function removePort(id: string): Promise<void> {
    await ipIfNeeded('link', 'delete', deviceOf(id));
    await ipIfNeeded('netns', 'delete', spaceOf(id));
  }

  async function put(resource: ResourceName, object: Fields): Promise<Fields | undefined> {
    const id = String(object['id']);
    if (resource === 'network') {
      await ipIfNeeded('link', 'add', bridgeOf(id), 'type', 'bridge');
      await ip('link', 'set', bridgeOf(id), 'mtu', String(object['mtu'] ?? 1500), 'up');
    }
    if (resource === 'subnet') prefixes.set(id, String(object['cidr']).split('/')[1] ?? '32');
    return resource === 'port' ? putPort(object) : undefined;
  }

  async function remove(resource: ResourceName, id: string): Promise<void> {
    if (resource === 'network') await ipIfNeeded('link', 'delete', bridgeOf(id));
    if (resource === 'port') await removePort(id);
    if (resource === 'subnet') prefixes.delete(id);
  }

  function verify(resource: ResourceName, object: Fields): Refused | undefined {
    const groups = resource === 'port' && object['port_security_enabled'] === true ? object['security_groups'] : [];
    const isProbe = object['name'] === 'cable-probe';
    if (isProbe || !Array.isArray(groups) || groups.length === 0) return undefined;
    return { reason: 'security_groups: bridges have none: give an empty list, or port_security_enabled false' };
  }

  return {
    capabilities: () => ({
      ...{ name: 'bridge', version: '1', network_types: ['gre'], vif_types: ['other'], extensions: [] },
      resources: Object.fromEntries(
        ['network', 'subnet', 'port'].map((name) => [name, ['create', 'update', 'delete']]),
      ),
      ...{ limits: { networks: 100 }, features: { overhead_bytes: { 4: 0, 6: 0 } } },
    }),
    ...{ put, remove, verify },
    bind: (port, wanted) =>
      wanted === host
        ? { vif_type: 'other', vif_details: { namespace: spaceOf(String(port['id'])) } }
        : { reason: `this back end has the host ${host} alone, not ${wanted.slice(0, 255)}` },
  };
}

const [socket = '/run/cable-bridge.sock', host = 'node-1', token = ''] = process.argv.slice(2);
const server = await createPluginServer(createHandlers(host), { path: socket, token });
process.stdout.write(`listening on ${server.endpoint}\n`);
process.once('SIGTERM', () => void server.stop());
