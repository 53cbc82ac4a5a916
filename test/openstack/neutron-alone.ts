/**
 * The API of a stock neutron-server of Debian's packages in one process, for what is asked request by request: ML2 on SQLite, no messages, no tokens. It starts in
 * seconds, and believes who a request says it is from (`X-User-Id`, `X-Project-Id`, `X-Roles`).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, Program, startAlone } from '../hammer/program.ts';

export type NeutronAlone = {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Ends the process; what it wrote stays in the directory. */
  close(): Promise<void>;
};

const PYTHON = '/usr/bin/python3';

/** One request after the other, so that SQLite has one writer: what fails once fails again, and nobody waits minutes for it. */
const SERVE = `
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from neutron.common import config
config.register_common_config_options()
config.init(["--config-file", sys.argv[1]])
config.setup_logging()
from neutron import auth
from neutron.api import extensions
from neutron.api.v2 import router
from neutron.db.migration.models import head
from neutron_lib.db import api, model_base
from paste.urlmap import URLMap
again = api._retry_db_errors
again.max_retries, again.retry_interval, again.inc_retry_interval = 3, 0, False
engine = api.get_writer_session().get_bind()
with engine.connect() as connection:
    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
model_base.BASEV2.metadata.create_all(engine)
routes = URLMap()
app = extensions.plugin_aware_extension_middleware_factory({})(router.APIRouter())
routes["/v2.0"] = auth.NeutronKeystoneContext(app)
def ready(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b""]
routes["/ready"] = ready
class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass
make_server("127.0.0.1", int(sys.argv[2]), routes, handler_class=Handler).serve_forever()
`;

/** Starts one whose files are in `directory`, which the caller removes. */
export async function startNeutronAlone(directory: string): Promise<NeutronAlone> {
  const home = join(directory, 'neutron');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const program = new Program({
    name: 'neutron',
    command: [PYTHON, '-c', SERVE, writeConfig(home), `${port}`],
    env: { PYTHONWARNINGS: 'ignore' },
    log: join(directory, 'neutron.log'),
    ready: `${url}/ready`,
  });
  return { url, close: await startAlone(program) };
}

/** What Cable lists an alias of. */
const SERVICE_PLUGINS = ['router', 'qos', 'trunk', 'segments', 'port_forwarding', 'network_segment_range', 'log'];
const EXTENSION_DRIVERS = [
  ...['port_security', 'qos', 'port_device_profile', 'port_numa_affinity_policy', 'dns_domain_ports'],
  'tag_ports_during_bulk_creation',
];
const UNLIMITED = [
  ...['network', 'subnet', 'port', 'router', 'floatingip', 'security_group', 'security_group_rule', 'rbac_policy'],
];

function writeConfig(home: string): string {
  mkdirSync(join(home, 'policy.d'), { recursive: true });
  const file = join(home, 'neutron.conf');
  const sections = [
    '[DEFAULT]',
    ...['core_plugin = ml2', `service_plugins = ${SERVICE_PLUGINS.join(',')}`, `state_path = ${home}`],
    ...['transport_url = fake://', 'agent_down_time = 100000000'],
    ...['notify_nova_on_port_status_changes = false', 'notify_nova_on_port_data_changes = false'],
    ...[`log_file = ${join(home, 'neutron-server.log')}`, 'use_stderr = false'],
    '[database]',
    ...[`connection = sqlite:///${join(home, 'neutron.db')}`, 'sqlite_synchronous = false'],
    '[quotas]',
    ...UNLIMITED.map((type) => `quota_${type} = -1`),
    '[oslo_concurrency]',
    `lock_path = ${join(home, 'lock')}`,
    '[oslo_policy]',
    ...[`policy_file = ${join(home, 'no-policy.yaml')}`, `policy_dirs = ${join(home, 'policy.d')}`],
    '[ml2]',
    ...['type_drivers = local,flat,vlan,vxlan', 'tenant_network_types = vxlan'],
    ...['mechanism_drivers = openvswitch', `extension_drivers = ${EXTENSION_DRIVERS.join(',')}`],
    '[ml2_type_flat]',
    'flat_networks = *',
    '[ml2_type_vlan]',
    'network_vlan_ranges = physnet1:1:4000',
    '[ml2_type_vxlan]',
    'vni_ranges = 1:2000',
  ];
  writeFileSync(file, `${sections.join('\n')}\n`);
  return file;
}
