/** A stock neutron-server of Debian's packages, in a directory of its own: ML2 on MariaDB, tokens of the real Keystone, its defaults. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, Program } from '../hammer/program.ts';
import type { Keystone } from './keystone.ts';
import { type Database, startMariaDb } from './mariadb.ts';

export type Stock = {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly database: Database;
  /** Ends the processes; what they wrote stays in the directory. */
  close(): Promise<void>;
};

export type StockOptions = {
  /** False: the database does not wait for the disk. */
  readonly isDurable: boolean;
  /** Hosts with an Open vSwitch agent that is alive, as far as the database says: ports bind there. Default: none. */
  readonly hosts?: readonly string[];
  /** VXLAN alone, with the VNIs from 1 to this. A list of ranges takes half a minute where there are many numbers. Default: all kinds of tunnels. */
  readonly vxlanUpTo?: number;
};

/** What python3-neutron can do without another daemon. */
const SERVICE_PLUGINS = [
  ...['router', 'metering', 'qos', 'trunk', 'segments', 'port_forwarding', 'network_segment_range', 'log'],
  ...['conntrack_helper', 'local_ip', 'ndp_proxy'],
];
const EXTENSION_DRIVERS = [
  ...['port_security', 'qos', 'data_plane_status', 'uplink_status_propagation'],
  // What dns_domain_ports does it does, too: with both no network with a domain can be made.
  ...['port_device_profile', 'port_numa_affinity_policy', 'subnet_dns_publish_fixed_ip'],
  'tag_ports_during_bulk_creation',
];
/** The file that Debian's neutron-common puts in /etc. */
const PASTE = '/usr/lib/python3/dist-packages/neutron/tests/etc/api-paste.ini';
const PYTHON = '/usr/bin/python3';
const MIGRATE = 'import sys; from neutron.db.migration.cli import main; sys.argv[0] = "neutron-db-manage"; main()';
const SERVE = 'import sys; from neutron.cmd.eventlet.server import main; sys.argv[0] = "neutron-server"; main()';
const run = promisify(execFile);

/** Starts one whose files are in `directory`, which the caller removes. It is not in the catalog. */
export async function startStock(directory: string, keystone: Keystone, options: StockOptions): Promise<Stock> {
  const home = join(directory, 'neutron');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const database = await startMariaDb(directory, { name: 'neutron', isDurable: options.isDurable });
  const program = new Program({
    name: 'neutron-server',
    command: [
      PYTHON,
      '-c',
      SERVE,
      '--config-file',
      writeConfig(home, { port, keystone, database, vxlanUpTo: options.vxlanUpTo }),
    ],
    env: { PYTHONWARNINGS: 'ignore' },
    log: join(directory, 'neutron.log'),
    ready: url,
    hasChildren: true,
  });
  const abandon = (): void => program.abandon();
  process.once('exit', abandon);
  const close = async (): Promise<void> => {
    await program.end('SIGKILL');
    process.off('exit', abandon);
    await database.close();
  };
  try {
    const env = { ...process.env, PYTHONWARNINGS: 'ignore' };
    await run(PYTHON, ['-c', MIGRATE, '--config-file', join(home, 'neutron.conf'), 'upgrade', 'head'], { env });
    for (const host of options.hosts ?? []) await addAgent(database, host);
    await program.start();
    return { url, database, close };
  } catch (err) {
    await close();
    throw err;
  }
}

type Surroundings = {
  readonly port: number;
  readonly keystone: Keystone;
  readonly database: Database;
  readonly vxlanUpTo: number | undefined;
};

function writeConfig(home: string, { port, keystone, database, vxlanUpTo }: Surroundings): string {
  mkdirSync(join(home, 'policy.d'), { recursive: true });
  const file = join(home, 'neutron.conf');
  // Messages go nowhere: there is no agent that would hear them. Agents are alive for ever, since nobody says that they are.
  const sections = [
    '[DEFAULT]',
    ...['bind_host = 127.0.0.1', `bind_port = ${port}`, `api_paste_config = ${PASTE}`, `state_path = ${home}`],
    ...['core_plugin = ml2', `service_plugins = ${SERVICE_PLUGINS.join(',')}`, 'auth_strategy = keystone'],
    ...['transport_url = fake://', 'agent_down_time = 100000000'],
    ...['notify_nova_on_port_status_changes = false', 'notify_nova_on_port_data_changes = false'],
    ...[`log_file = ${join(home, 'neutron-server.log')}`, 'use_stderr = false'],
    '[database]',
    `connection = ${database.url}`,
    '[keystone_authtoken]',
    ...[`www_authenticate_uri = ${keystone.url}`, `auth_url = ${keystone.url}`, 'auth_type = password'],
    ...['project_domain_id = default', 'user_domain_id = default', 'project_name = service'],
    ...[`username = ${keystone.service.name}`, `password = ${keystone.service.password}`],
    '[oslo_concurrency]',
    `lock_path = ${join(home, 'lock')}`,
    '[oslo_policy]',
    ...[`policy_file = ${join(home, 'no-policy.yaml')}`, `policy_dirs = ${join(home, 'policy.d')}`],
    '[ml2]',
    `type_drivers = local,flat,vlan,vxlan${vxlanUpTo === undefined ? ',gre,geneve' : ''}`,
    'tenant_network_types = vxlan',
    ...['mechanism_drivers = openvswitch', `extension_drivers = ${EXTENSION_DRIVERS.join(',')}`],
    '[ml2_type_flat]',
    'flat_networks = *',
    '[ml2_type_vlan]',
    'network_vlan_ranges = physnet1:1:4000',
    '[ml2_type_vxlan]',
    `vni_ranges = 1:${vxlanUpTo ?? 100_000}`,
    '[ml2_type_gre]',
    'tunnel_id_ranges = 1:10000',
    '[ml2_type_geneve]',
    ...['vni_ranges = 1:100000', 'max_header_size = 38'],
  ];
  writeFileSync(file, `${sections.join('\n')}\n`);
  return file;
}

async function addAgent(database: Database, host: string): Promise<void> {
  const configurations = { bridge_mappings: { physnet1: 'br-physnet1' }, tunnel_types: ['vxlan'], devices: 0 };
  await database.execute(
    `insert into agents (id, agent_type, \`binary\`, topic, host, admin_state_up, created_at, started_at, heartbeat_timestamp,
       configurations, \`load\`)
     values (uuid(), 'Open vSwitch agent', 'neutron-openvswitch-agent', 'N/A', %s, 1, utc_timestamp(), utc_timestamp(),
       utc_timestamp(), %s, 0)`,
    [host, JSON.stringify(configurations)],
  );
}
