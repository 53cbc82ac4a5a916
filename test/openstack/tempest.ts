/** Tempest with Neutron's own plug-in, against one cloud. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Cloud, PHYSICAL_NETWORK } from './cloud.ts';
import { REGION } from './keystone.ts';

export type Result = {
  readonly id: string;
  readonly status: 'success' | 'fail' | 'skip' | 'xfail' | 'uxsuccess' | 'inprogress' | 'exists' | 'unknown';
  readonly seconds: number;
  /** Why it failed or was skipped: the end of it. */
  readonly why: string;
};

/** What is run unless a narrower expression is given. */
export const ALL_TESTS = String.raw`^(tempest\.api\.network|neutron_tempest_plugin\.api)\.`;

/** Reads the results as they come: one line of JSON each. */
const READER = `
import json, sys, subunit, testtools
def told(test):
    start, stop = test["timestamps"]
    texts = [c.as_text() for n, c in test["details"].items() if n in ("traceback", "reason") or n.startswith("traceback")]
    print(json.dumps({"id": test["id"], "status": test["status"], "why": "\\n".join(texts)[-4000:],
        "seconds": (stop - start).total_seconds() if start and stop else 0}), flush=True)
results = testtools.StreamToDict(told)
results.startTestRun()
subunit.ByteStreamToStreamResult(sys.stdin.buffer, "stdout").run(results)
results.stopTestRun()
`;

/**
 * Runs what matches `expression` by `workers` processes; `tell` gets each result as it comes.
 * More workers than cores pay: Tempest sleeps ten seconds after each subnet that it deletes.
 */
export async function runTempest(
  cloud: Cloud,
  directory: string,
  options: {
    readonly expression: string;
    readonly workers: number;
    readonly tell: (result: Result) => void;
  },
): Promise<readonly Result[]> {
  const home = join(directory, 'tempest');
  const config = await writeWorkspace(home, cloud);
  const chosen = ['--regex', options.expression, '--concurrency', String(options.workers)];
  const env = { ...process.env, TEMPEST_CONFIG_DIR: home, HOME: home, PYTHONWARNINGS: 'ignore' };
  const tempest = spawn('tempest', ['run', '--config-file', config, '--subunit', ...chosen], {
    cwd: home,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const reader = spawn('/usr/bin/python3', ['-c', READER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const end = (): void => {
    tempest.kill();
    reader.kill();
  };
  process.once('exit', end);
  tempest.stdout.pipe(reader.stdin);
  const results: Result[] = [];
  const gone = once(reader, 'exit');
  for await (const line of createInterface(reader.stdout)) {
    const result = JSON.parse(line) as Result;
    if (result.status === 'exists') continue;
    results.push(result);
    options.tell(result);
  }
  await gone;
  process.off('exit', end);
  return results;
}

async function writeWorkspace(home: string, cloud: Cloud): Promise<string> {
  mkdirSync(join(home, 'lock'), { recursive: true });
  writeFileSync(
    join(home, '.stestr.conf'),
    String.raw`[DEFAULT]
test_path=/usr/lib/python3/dist-packages/tempest/test_discover
top_dir=/usr/lib/python3/dist-packages
group_regex=([^\.]*\.)*
`,
  );
  const { extensions } = (await cloud.request('GET', '/extensions')) as { extensions: readonly { alias: string }[] };
  const { keystone } = cloud;
  const config = join(home, 'tempest.conf');
  const sections = [
    '[DEFAULT]',
    ...[`log_dir = ${home}`, 'log_file = tempest.log', 'use_stderr = false'],
    '[oslo_concurrency]',
    `lock_path = ${join(home, 'lock')}`,
    '[auth]',
    ...['use_dynamic_credentials = true', 'create_isolated_networks = false', 'tempest_roles = member'],
    ...[`admin_username = ${keystone.admin.name}`, `admin_password = ${keystone.admin.password}`],
    ...['admin_project_name = admin', 'admin_domain_name = Default'],
    '[identity]',
    ...[`uri_v3 = ${keystone.url}`, 'auth_version = v3', `region = ${REGION}`],
    '[service_available]',
    'neutron = true',
    ...['nova', 'cinder', 'glance', 'swift', 'horizon'].map((name) => `${name} = false`),
    '[validation]',
    'run_validation = false',
    '[network]',
    ...[`public_network_id = ${cloud.publicNetwork.id}`, `floating_network_name = ${cloud.publicNetwork.name}`],
    '[network-feature-enabled]',
    ...['ipv6 = true', 'ipv6_subnet_attributes = true', 'port_admin_state_change = true', 'floating_ips = true'],
    `api_extensions = ${extensions.map(({ alias }) => alias).join(',')}`,
    '[neutron_plugin_options]',
    ...[`provider_vlans = ${PHYSICAL_NETWORK}`, 'available_type_drivers = flat,vlan,local,vxlan'],
    'create_shared_resources = true',
  ];
  writeFileSync(config, `${sections.join('\n')}\n`);
  return config;
}
