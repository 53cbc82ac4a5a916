/** What a user of Nova does with machines, and what has to come of it on Cable. */
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import Table from 'cli-table3';
import { type Keystone, REGION } from '../openstack/keystone.ts';
import { COMPUTE_HOST } from './services.ts';

export type ScenarioOptions = {
  readonly directory: string;
  readonly keystone: Keystone;
  /** Has `vmlinuz` and `initrd.gz`. */
  readonly guest: string;
  /** Cable's `http://127.0.0.1:PORT`. */
  readonly cable: string;
  /** `performance.now()` of the beginning. */
  readonly began: number;
};

type Row = Readonly<Record<string, unknown>>;
type Server = {
  readonly id: string;
  readonly status: string;
  readonly fault?: unknown;
  readonly addresses: Readonly<Record<string, readonly string[]>>;
};
type Port = { readonly id: string; readonly mac: string; readonly address: string };

/** `openstack` asked for JSON, which is parsed. Throws with what it said on its error output. */
type OpenStack = (...args: string[]) => Promise<unknown>;

const run = promisify(execFile);
/** The machine may be busy with others, and QEMU emulates. */
const DEADLINE_MS = 600_000;
const BUSY_TRIES = 10;

/** Prints one line a check, and a table at the end; false when one failed. */
export async function runScenario(options: ScenarioOptions): Promise<boolean> {
  const table = new Table({
    head: ['check', '', 'took', 'measured, or what went wrong'],
    style: { head: [], border: [] },
  });
  let failed = 0;
  let passed = 0;
  const check = async (name: string, work: () => Promise<string>): Promise<void> => {
    const began = performance.now();
    const outcome = await work().then(
      (detail) => ({ ok: true, detail }),
      (err: unknown) => ({ ok: false, detail: err instanceof Error ? err.message : String(err) }),
    );
    if (outcome.ok) passed += 1;
    else failed += 1;
    const seconds = `${((performance.now() - began) / 1000).toFixed(1)} s`;
    process.stdout.write(`  ${outcome.ok ? 'ok    ' : 'FAILED'} ${name} (${seconds})\n`);
    if (!outcome.ok) process.stdout.write(`         ${outcome.detail.slice(0, 600)}\n`);
    table.push([name, outcome.ok ? 'ok' : 'FAILED', seconds, outcome.detail.slice(0, 600)]);
  };
  process.stdout.write('using it\n');
  await live(options, check);
  const seconds = ((performance.now() - options.began) / 1000).toFixed(0);
  process.stdout.write(`${table.toString()}\nlab:nova: ${passed} ok, ${failed} FAILED in ${seconds} s\n`);
  return failed === 0;
}

type Check = (name: string, work: () => Promise<string>) => Promise<void>;

async function live(options: ScenarioOptions, check: Check): Promise<void> {
  const openstack = openstackOf(options.keystone);
  await check('Nova has the host', () => untilHost(openstack));
  await check('an image, a flavor and a network are there', () => prepare(openstack, options));
  await check('a machine starts: Nova waits for network-vif-plugged', () => createServer(openstack, options));
  await check('its port is up, on its host, by a tap device', async () => {
    const port = await portOf(openstack, 'one');
    const shown = (await openstack('port', 'show', port.id)) as Row;
    const seen = [shown['status'], shown['binding_host_id'], shown['binding_vif_type'], shown['device_owner']];
    expect(seen, ['ACTIVE', COMPUTE_HOST, 'bridge', 'compute:nova']);
    const device = `tap${port.id.slice(0, 11)}`;
    if (!existsSync(`/sys/class/net/${device}`)) throw new Error(`there is no ${device}`);
    return `${device}, ${port.address}`;
  });
  await check('its guest has its address by DHCP, and Nova’s metadata', () => untilMetadata(openstack, ''));
  await check('an address is added to the port: Nova is told network-changed', async () => {
    const port = await portOf(openstack, 'one');
    await openstack('port', 'set', '--fixed-ip', 'subnet=subnet,ip-address=10.9.0.77', port.id);
    await until('the address to be in what Nova shows', async () =>
      Object.values((await serverOf(openstack, 'one')).addresses)
        .flat()
        .includes('10.9.0.77'),
    );
    return 'server show has 10.9.0.77';
  });
  for (const kind of ['--soft', '--hard'] as const) {
    await check(`it reboots (${kind.slice(2)}), and has its metadata again`, async () => {
      const before = await consoleOf(openstack);
      await openstack('server', 'reboot', '--wait', kind, 'one');
      return untilMetadata(openstack, before);
    });
  }
  await check('a port is plugged into it while it runs, and unplugged', () => plugAndUnplug(openstack));
  await check('a port that is deleted leaves it: Nova is told network-vif-deleted', () => deletePort(openstack));
  await check('it is deleted, and so is its port', async () => {
    const port = await portOf(openstack, 'one');
    await openstack('server', 'delete', '--wait', 'one');
    const left = (await openstack('port', 'list', '--device-owner', 'compute:nova')) as readonly Row[];
    expect(left.length, 0);
    await until('its device to be gone', async () => !existsSync(`/sys/class/net/tap${port.id.slice(0, 11)}`));
    return 'no port, no device';
  });
  await check('a machine on a host that Cable does not know is refused', () => refuseElsewhere(openstack));
  await check('what Nova was told', () => toldOf(options));
}

async function untilHost(openstack: OpenStack): Promise<string> {
  await until('the host to be there', async () => {
    const hosts = (await openstack('hypervisor', 'list')) as readonly Row[];
    return hosts.some((host) => host['State'] === 'up');
  });
  return COMPUTE_HOST;
}

async function prepare(openstack: OpenStack, { directory, guest }: ScenarioOptions): Promise<string> {
  const disk = join(directory, 'disk');
  writeFileSync(disk, Buffer.alloc(1 << 20));
  const image = async (name: string, format: string, file: string, ...more: string[]): Promise<string> => {
    const formats = ['--disk-format', format, '--container-format', format === 'raw' ? 'bare' : format];
    return ((await openstack('image', 'create', ...formats, '--file', file, ...more, name)) as { id: string }).id;
  };
  const kernel = await image('kernel', 'aki', join(guest, 'vmlinuz'));
  const ramdisk = await image('ramdisk', 'ari', join(guest, 'initrd.gz'));
  const properties = [`kernel_id=${kernel}`, `ramdisk_id=${ramdisk}`, 'os_command_line=console=ttyS0 quiet'];
  await image('guest', 'raw', disk, ...properties.flatMap((property) => ['--property', property]));
  await openstack('flavor', 'create', '--ram', '256', '--disk', '1', '--vcpus', '1', 'small');
  await openstack('network', 'create', 'net');
  await openstack('subnet', 'create', '--network', 'net', '--subnet-range', '10.9.0.0/24', 'subnet');
  return 'a direct kernel boot, 256 MiB';
}

async function createServer(openstack: OpenStack, { directory }: ScenarioOptions): Promise<string> {
  const file = join(directory, 'user-data');
  writeFileSync(file, 'told-by-nova');
  const what = ['--image', 'guest', '--flavor', 'small', '--network', 'net', '--user-data', file];
  await openstack('server', 'create', ...what, 'one');
  await until('the machine to run or to fail', async () => (await serverOf(openstack, 'one')).status !== 'BUILD');
  const { status, fault } = await serverOf(openstack, 'one');
  if (status !== 'ACTIVE') throw new Error(`${status}: ${JSON.stringify(fault)}`);
  return status;
}

/** What the guest said since its QEMU was started: each start begins the file anew. */
async function consoleOf(openstack: OpenStack): Promise<string> {
  return String(await openstack('console', 'log', 'show', 'one'));
}

/** Waits until the guest has said all on the console, anew. */
async function untilMetadata(openstack: OpenStack, before: string): Promise<string> {
  let text = before;
  const last = (): string => text.slice(text.lastIndexOf('cable-guest kernel'));
  await until('the guest to say that it is ready', async () => {
    text = await consoleOf(openstack);
    return text !== before && last().includes('cable-guest ready');
  });
  const { address } = await portOf(openstack, 'one');
  // Ids in this form are Nova's own: Cable's agent has the machine's UUID.
  for (const line of [/instance-id=i-[0-9a-f]{8}/, /hostname=one/, /user-data=told-by-nova/, / ip=10\.9\.0\./]) {
    if (!line.test(last())) throw new Error(`no ${line} in: ${last()}`);
  }
  return `${/instance-id=\S+/.exec(last())?.[0]}, ${address}`;
}

async function plugAndUnplug(openstack: OpenStack): Promise<string> {
  const { id } = (await openstack('port', 'create', '--network', 'net', 'second')) as { id: string };
  await openstack('server', 'add', 'port', 'one', id);
  const state = async (): Promise<unknown> => ((await openstack('port', 'show', id)) as Row)['status'];
  await until('the port to be ACTIVE', async () => (await state()) === 'ACTIVE');
  await openstack('server', 'remove', 'port', 'one', id);
  await until('the port to be DOWN', async () => (await state()) === 'DOWN');
  await openstack('port', 'delete', id);
  return 'ACTIVE, then DOWN';
}

async function deletePort(openstack: OpenStack): Promise<string> {
  const { id } = (await openstack(
    'port',
    'create',
    '--network',
    'net',
    '--fixed-ip',
    'ip-address=10.9.0.88',
    'third',
  )) as { id: string };
  await openstack('server', 'add', 'port', 'one', id);
  const isShown = async (): Promise<boolean> =>
    Object.values((await serverOf(openstack, 'one')).addresses)
      .flat()
      .includes('10.9.0.88');
  await until('Nova to show its address', isShown);
  await openstack('port', 'delete', id);
  await until('Nova to show it no more', async () => !(await isShown()));
  return 'server show has it no more';
}

async function refuseElsewhere(openstack: OpenStack): Promise<string> {
  const args = ['--network', 'net', '--host', 'compute-9', '--device-owner', 'compute:nova', 'elsewhere'];
  const made = (await openstack('port', 'create', ...args)) as Row;
  const kind = made['binding_vif_type'];
  await openstack('port', 'delete', String(made['id']));
  expect(kind, 'binding_failed');
  return 'binding_failed';
}

async function toldOf({ cable, keystone }: Pick<ScenarioOptions, 'cable' | 'keystone'>): Promise<string> {
  const token = await keystone.token(keystone.admin, { project: 'admin' });
  const answer = await fetch(`${cable}/metrics`, { headers: { 'x-auth-token': token } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`/metrics: ${answer.status} ${text}`);
  const all = text.split('\n').filter((line) => line.startsWith('cable_nova_events_total{'));
  const lines = all.filter((line) => line.includes('taken'));
  for (const name of ['network-vif-plugged', 'network-changed', 'network-vif-deleted']) {
    if (!lines.some((line) => line.includes(name))) throw new Error(`Nova took no ${name}: ${all.join('; ')}`);
  }
  return lines.map((line) => line.replace('cable_nova_events_total', '')).join(' ');
}

async function portOf(openstack: OpenStack, server: string): Promise<Port> {
  const [port] = (await openstack('port', 'list', '--server', server)) as readonly Row[];
  if (port === undefined) throw new Error(`${server} has no port`);
  const [fixed] = port['Fixed IP Addresses'] as readonly { ip_address: string }[];
  return { id: String(port['ID']), mac: String(port['MAC Address']), address: fixed?.ip_address ?? '' };
}

async function serverOf(openstack: OpenStack, name: string): Promise<Server> {
  return (await openstack('server', 'show', name)) as Server;
}

function openstackOf({ url, admin }: Keystone): OpenStack {
  const env = {
    ...process.env,
    ...{ OS_AUTH_URL: url, OS_USERNAME: admin.name, OS_PASSWORD: admin.password, OS_PROJECT_NAME: 'admin' },
    ...{
      OS_USER_DOMAIN_ID: 'default',
      OS_PROJECT_DOMAIN_ID: 'default',
      OS_IDENTITY_API_VERSION: '3',
      OS_REGION_NAME: REGION,
    },
    PYTHONWARNINGS: 'ignore',
  };
  return async (...args) => {
    const isTable =
      /^(show|create|list)$/.test(args.find((word) => /^(show|create|list)$/.test(word)) ?? '') &&
      args[0] !== 'console';
    const format = isTable ? ['-f', 'json'] : [];
    const { stdout } = await patiently(() => run('openstack', [...args, ...format], { env, maxBuffer: 1 << 26 }));
    // With --wait it says how far it is before the answer.
    if (!isTable) return stdout;
    const start = stdout.search(/^[[{]/m);
    if (start < 0) throw new Error(`openstack ${args.join(' ')}: ${stdout.trim()}`);
    return JSON.parse(stdout.slice(start));
  };
}

/** A service that is busy says 503, and that nothing was done. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (err) {
      if (tries === BUSY_TRIES || !/\b503\b|ServiceUnavailable/.test(String(err))) throw err;
      await wait(2000);
    }
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited ${DEADLINE_MS / 1000} s for ${what}`);
    await wait(500);
  }
}

function expect(actual: unknown, wanted: unknown): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`${is}, and should be ${should}`);
}
