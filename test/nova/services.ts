/** The services of OpenStack that start a machine: RabbitMQ, Glance, Placement, Nova and libvirt, of Debian's packages. */
import { execFile } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program } from '../hammer/program.ts';
import { type Keystone, REGION } from '../openstack/keystone.ts';
import type { Database } from '../openstack/mariadb.ts';

export type Surroundings = {
  /** Files of the services, and their logs. */
  readonly directory: string;
  /** Where `rabbitmq-server`, `nova-common` and `glance-common` were unpacked. */
  readonly unpacked: string;
  readonly keystone: Keystone;
  readonly database: Database;
};

/** Name of the one host that runs machines, for Nova and for Cable. */
export const COMPUTE_HOST = 'compute-1';

/** What Nova's metadata service and Cable's agent share. */
export const METADATA_SECRET = 'secret-of-metadata';

/** Where Nova's metadata service listens. */
export const NOVA_METADATA = 'http://127.0.0.1:8775';

const PYTHON = '/usr/bin/python3';
/** The machine may be busy with others. */
const READY_MS = 300_000;
const MESSAGES = 'rabbit://guest:guest@127.0.0.1:5672/';
const run = promisify(execFile);

/** The message queue. Its node is of this namespace alone: nobody else reaches its ports. */
export async function startRabbitMq({ directory, unpacked }: Surroundings): Promise<void> {
  const home = join(directory, 'rabbitmq');
  mkdirSync(home);
  writeFileSync(join(home, 'plugins'), '[].\n');
  writeFileSync(join(home, 'rabbitmq.conf'), 'listeners.tcp.1 = 127.0.0.1:5672\n');
  await start(directory, {
    name: 'rabbitmq',
    command: [
      '/bin/sh',
      '-c',
      `exec "$(echo ${unpacked}/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)/rabbitmq-server"`,
    ],
    env: {
      HOME: home,
      RABBITMQ_NODENAME: 'rabbit@localhost',
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'plugins'),
      RABBITMQ_MNESIA_BASE: home,
      RABBITMQ_LOG_BASE: home,
      RABBITMQ_PID_FILE: join(home, 'pid'),
    },
    ready: () => accepts(5672),
  });
}

/** Images, in files. */
export async function startGlance(around: Surroundings): Promise<void> {
  const { directory, unpacked, keystone, database } = around;
  const home = join(directory, 'glance');
  mkdirSync(join(home, 'images'), { recursive: true });
  const file = writeConfig(home, 'glance.conf', [
    '[DEFAULT]',
    ...['bind_host = 127.0.0.1', 'bind_port = 9292', 'workers = 0', 'enabled_import_methods = []'],
    'use_stderr = true',
    '[database]',
    `connection = ${urlOf(database, 'glance')}`,
    ...tokensOf(keystone),
    '[paste_deploy]',
    ...['flavor = keystone', `config_file = ${unpacked}/usr/share/glance-common/glance-api-paste.ini`],
    '[glance_store]',
    ...['stores = file', 'default_store = file', `filesystem_store_datadir = ${join(home, 'images')}`],
    ...noPolicy(home),
  ]);
  await database.execute('create database glance character set utf8');
  await python('glance-manage', 'glance.cmd.manage', ['--config-file', file, 'db_sync']);
  await startPython(directory, 'glance-api', 'glance.cmd.api', file, () =>
    answers('http://127.0.0.1:9292/healthcheck'),
  );
  await keystone.addEndpoint('image', 'glance', 'http://127.0.0.1:9292');
}

/** What hosts have room for. */
export async function startPlacement(around: Surroundings): Promise<void> {
  const { directory, keystone, database } = around;
  const home = join(directory, 'placement');
  mkdirSync(home);
  writeConfig(home, 'placement.conf', [
    ...['[DEFAULT]', 'use_stderr = true', '[api]', 'auth_strategy = keystone'],
    '[placement_database]',
    ...[`connection = ${urlOf(database, 'placement')}`, 'sync_on_startup = true'],
    ...tokensOf(keystone),
    ...noPolicy(home),
  ]);
  await database.execute('create database placement character set utf8');
  const uwsgi = ['--plugins', 'python3', '--http-socket', '127.0.0.1:8778', '--wsgi-file', '/usr/bin/placement-api'];
  await start(directory, {
    name: 'placement',
    command: [
      'uwsgi_python3',
      ...uwsgi,
      '--threads',
      '4',
      '--enable-threads',
      '--need-app',
      '--buffer-size',
      '65535',
      '--disable-logging',
    ],
    env: { OS_PLACEMENT_CONFIG_DIR: home, PYTHONWARNINGS: 'ignore' },
    ready: () => answers('http://127.0.0.1:8778/'),
  });
  await keystone.addEndpoint('placement', 'placement', 'http://127.0.0.1:8778');
}

/** libvirt, whose machines QEMU emulates; its sockets and files are of this mount namespace alone. */
export async function startLibvirt({ directory }: Surroundings): Promise<void> {
  mkdirSync('/etc/libvirt', { recursive: true });
  writeFileSync(
    '/etc/libvirt/qemu.conf',
    'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nnamespaces = []\ncgroup_controllers = []\nstdio_handler = "file"\n',
  );
  // Debian's libvirt looks for this user before it reads which one it is to use.
  appendFileSync('/etc/passwd', 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n');
  appendFileSync('/etc/group', 'libvirt-qemu:x:64055:\n');
  writeFileSync('/etc/libvirt/libvirtd.conf', 'auth_unix_rw = "none"\nauth_unix_ro = "none"\n');
  await start(directory, {
    name: 'libvirtd',
    command: ['libvirtd'],
    ready: () =>
      run('virsh', ['-c', 'qemu:///system', 'list']).then(
        () => true,
        () => false,
      ),
  });
}

/** Nova: API, metadata, conductor, scheduler, and the one that starts machines. */
export async function startNova(around: Surroundings): Promise<void> {
  const { directory, keystone, database } = around;
  const home = join(directory, 'nova');
  mkdirSync(join(home, 'instances'), { recursive: true });
  const file = writeNovaConfig(home, around);
  for (const name of ['nova_api', 'nova', 'nova_cell0'])
    await database.execute(`create database ${name} character set utf8`);
  const manage = (...args: string[]): Promise<void> =>
    python('nova-manage', 'nova.cmd.manage', ['--config-file', file, ...args]);
  await manage('api_db', 'sync');
  await manage('cell_v2', 'map_cell0', '--database_connection', urlOf(database, 'nova_cell0'));
  await manage('cell_v2', 'create_cell', '--name', 'cell1');
  await manage('db', 'sync');
  await keystone.addEndpoint('compute', 'nova', 'http://127.0.0.1:8774/v2.1');
  await Promise.all([
    startPython(directory, 'nova-api', 'nova.cmd.api', file, () => answers('http://127.0.0.1:8774/')),
    startPython(directory, 'nova-conductor', 'nova.cmd.conductor', file),
    startPython(directory, 'nova-scheduler', 'nova.cmd.scheduler', file),
    startPython(directory, 'nova-compute', 'nova.cmd.compute', file),
  ]);
}

function writeNovaConfig(home: string, { unpacked, keystone, database }: Surroundings): string {
  const helper = (section: string): readonly string[] => [
    `[${section}]`,
    `helper_command = privsep-helper --config-file ${join(home, 'nova.conf')}`,
  ];
  return writeConfig(home, 'nova.conf', [
    '[DEFAULT]',
    ...['my_ip = 127.0.0.1', `host = ${COMPUTE_HOST}`, `state_path = ${home}`, `transport_url = ${MESSAGES}`],
    ...['compute_driver = libvirt.LibvirtDriver', 'enabled_apis = osapi_compute,metadata'],
    ...[
      'osapi_compute_listen = 127.0.0.1',
      'osapi_compute_workers = 1',
      'metadata_listen = 127.0.0.1',
      'metadata_workers = 1',
    ],
    // What Nova keeps of a port changes when it is told, and never because it looked.
    ...['heal_instance_info_cache_interval = -1', 'vif_plugging_is_fatal = true', 'vif_plugging_timeout = 300'],
    'rpc_response_timeout = 300',
    ...['ram_allocation_ratio = 8.0', 'reserved_host_memory_mb = 0', 'reserved_host_disk_mb = 0'],
    'use_stderr = true',
    '[api]',
    'auth_strategy = keystone',
    '[wsgi]',
    `api_paste_config = ${unpacked}/usr/share/nova-common/api-paste.ini`,
    '[api_database]',
    `connection = ${urlOf(database, 'nova_api')}`,
    '[database]',
    `connection = ${urlOf(database, 'nova')}`,
    ...tokensOf(keystone),
    ...[...serviceOf(keystone, 'placement'), ...serviceOf(keystone, 'neutron'), 'service_metadata_proxy = true'],
    `metadata_proxy_shared_secret = ${METADATA_SECRET}`,
    ...['[glance]', 'api_servers = http://127.0.0.1:9292'],
    ...['[conductor]', 'workers = 1', '[scheduler]', 'workers = 1', 'discover_hosts_in_cells_interval = 5'],
    ...['[libvirt]', 'virt_type = qemu', 'cpu_mode = none', 'images_type = raw', 'connection_uri = qemu:///system'],
    ...['[vnc]', 'enabled = false', '[oslo_concurrency]', `lock_path = ${join(home, 'lock')}`],
    ...['nova_sys_admin', 'vif_plug_linux_bridge_privileged', 'vif_plug_ovs_privileged', 'privsep_osbrick'].flatMap(
      helper,
    ),
    ...noPolicy(home),
  ]);
}

function serviceOf(keystone: Keystone, section: string): readonly string[] {
  return [`[${section}]`, `region_name = ${REGION}`, ...loginOf(keystone)];
}

function tokensOf(keystone: Keystone): readonly string[] {
  return ['[keystone_authtoken]', `www_authenticate_uri = ${keystone.url}`, ...loginOf(keystone)];
}

function loginOf({ url, service }: Keystone): readonly string[] {
  return [
    ...[`auth_url = ${url}`, 'auth_type = password', 'project_domain_id = default', 'user_domain_id = default'],
    ...['project_name = service', `username = ${service.name}`, `password = ${service.password}`],
  ];
}

function noPolicy(home: string): readonly string[] {
  mkdirSync(join(home, 'policy.d'), { recursive: true });
  return ['[oslo_policy]', `policy_file = ${join(home, 'no-policy.yaml')}`, `policy_dirs = ${join(home, 'policy.d')}`];
}

function writeConfig(home: string, name: string, lines: readonly string[]): string {
  const file = join(home, name);
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  return file;
}

function urlOf(database: Database, name: string): string {
  return `mysql+pymysql://root@localhost/${name}?unix_socket=${database.socket}&charset=utf8`;
}

/** The programs are functions of the modules: the packages that have them as commands start services of their own. */
function mainOf(name: string, module: string): string {
  return `import sys; from ${module} import main; sys.argv[0] = "${name}"; sys.exit(main())`;
}

async function python(name: string, module: string, args: readonly string[]): Promise<void> {
  await run(PYTHON, ['-c', mainOf(name, module), ...args], { env: { ...process.env, PYTHONWARNINGS: 'ignore' } });
}

function startPython(
  directory: string,
  name: string,
  module: string,
  file: string,
  ready: () => Promise<boolean> = async () => true,
): Promise<void> {
  const command = [PYTHON, '-c', mainOf(name, module), '--config-file', file] as const;
  return start(directory, { name, command, env: { PYTHONWARNINGS: 'ignore' }, ready });
}

/** All end with the namespace of processes that this is in. */
async function start(directory: string, options: Omit<ConstructorParameters<typeof Program>[0], 'log'>): Promise<void> {
  await new Program({ ...options, readyMs: READY_MS, log: join(directory, `${options.name}.log`) }).start();
}

function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(2000) }).then(
    (answer) => answer.status < 500,
    () => false,
  );
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}
