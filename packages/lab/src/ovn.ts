/**
 * OVN beside a lab's server: its databases, its translator and `cable ovn` in the namespace of the control plane; Open vSwitch and `ovn-controller` on each host. The switch is the one in user
 * space, which needs no kernel module, and sends tunnels by a bridge of its own alone: so each host has a second uplink, with a second subnet on the same wire.
 *
 *   guests ── br-int ── Geneve ── br-phy ── up1 ── br0 in <lab>-net
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { eventually } from './eventually.ts';
import { ipBatch, mustRun } from './exec.ts';
import { tapName } from './guests/guest.ts';
import { controlAddress, LAUNCHER, type LabHost, type LabNames, socketAddress } from './names.ts';
import type { LabProcess, Processes } from './processes.ts';
import { type Restartable, restartable } from './restartable.ts';
import { addUplink } from './topology.ts';

export type Ovn = {
  /** Where `cable ovn` is asked, and what it wants to be shown. */
  readonly endpoint: string;
  readonly token: string;
  /** `cable ovn`. */
  readonly backEnd: Restartable;
  /** `ovn-nbctl`. Throws with what it says when it fails. */
  nbctl(...words: readonly string[]): Promise<string>;
  /** Gives the tap of a port to the switch of its host, as Nova's libvirt driver does. */
  plug(host: LabHost, port: { readonly id: string; readonly mac_address: string }): Promise<void>;
  unplug(host: LabHost, portId: string): Promise<void>;
};

/** Program -> Debian's package. */
const NEEDED: Readonly<Record<string, string>> = {
  '/usr/bin/ovn-northd': 'ovn-central',
  '/usr/bin/ovn-controller': 'ovn-host',
  '/usr/sbin/ovs-vswitchd': 'openvswitch-switch',
  '/usr/sbin/ethtool': 'ethtool',
};
const SCHEMAS = {
  northbound: '/usr/share/ovn/ovn-nb.ovsschema',
  southbound: '/usr/share/ovn/ovn-sb.ovsschema',
  switch: '/usr/share/openvswitch/vswitch.ovsschema',
} as const;
/** Where hosts find the Southbound database. */
const SOUTHBOUND_PORT = 6642;
const START_MS = 120_000;

/** Starts it. Hosts are chassis when this resolves. Throws, naming the packages, when some lack. */
export async function startOvn(names: LabNames, processes: Processes, hosts: readonly LabHost[]): Promise<Ovn> {
  const lacking = Object.entries(NEEDED).flatMap(([program, name]) => (existsSync(program) ? [] : [name]));
  if (lacking.length > 0) throw new Error(`OVN lacks here: apt-get install ${lacking.join(' ')}`);
  const central = await startCentral(names, processes);
  for (const [at, host] of hosts.entries()) await startChassis(names, processes, host, at + 1);
  for (const { name } of hosts)
    await eventually(
      { what: `${name} to be a chassis`, deadlineMs: START_MS, everyMs: 100 },
      async () =>
        (await central.sbctl('--bare', '--columns=name', 'list', 'Chassis')).split('\n').includes(name) || undefined,
    );
  const token = randomBytes(32).toString('base64');
  const endpoint = `unix:${central.dir}/contract.sock`;
  writeFileSync(`${central.dir}/token`, `${token}\n`, { mode: 0o600 });
  const command = [process.execPath, LAUNCHER, 'ovn', '--listen', endpoint, '--token-file', `${central.dir}/token`];
  command.push('--northbound', central.northbound, '--southbound', central.southbound);
  const backEnd = await restartable('ovn', () =>
    processes.start({ name: 'ovn', command, netns: names.controlNamespace, ready: /back end runs/ }),
  );
  return {
    endpoint,
    token,
    backEnd,
    nbctl: central.nbctl,
    plug: async (host, { id, mac_address: mac }) => {
      const tap = tapName(id);
      const ids = ['set', 'interface', tap, `external_ids:iface-id=${id}`, `external_ids:attached-mac="${mac}"`];
      await vsctl(names, host, 'add-port', 'br-int', tap, '--', ...ids);
    },
    unplug: async (host, portId) => {
      await vsctl(names, host, 'del-port', 'br-int', tapName(portId));
    },
  };
}

/** The switch sees packets as they are on a wire, and would pass on those whose checksum is still to be made: a device that is its neighbour makes them itself. */
export async function makeOwnChecksums(netns: string, device: string): Promise<void> {
  await mustRun(['ethtool', '-K', device, 'tx', 'off', 'tso', 'off', 'gso', 'off'], { netns });
}

type Central = {
  readonly dir: string;
  readonly northbound: string;
  readonly southbound: string;
  nbctl(...words: readonly string[]): Promise<string>;
  sbctl(...words: readonly string[]): Promise<string>;
};

async function startCentral(names: LabNames, processes: Processes): Promise<Central> {
  const dir = directory(names);
  const netns = names.controlNamespace;
  mkdirSync(dir, { mode: 0o700 });
  const [northbound, southbound] = [`unix:${dir}/nb.sock`, `unix:${dir}/sb.sock`];
  const ctl =
    (program: string, database: string) =>
    (...words: readonly string[]): Promise<string> =>
      mustRun([program, `--db=${database}`, '--timeout=30', ...words], { netns });
  const [nbctl, sbctl] = [ctl('ovn-nbctl', northbound), ctl('ovn-sbctl', southbound)];
  const version = names.overlayIpVersion;
  const listen = `--remote=ptcp:${SOUTHBOUND_PORT}:${version === 6 ? `[${controlAddress(0, 6)}]` : controlAddress(0)}`;
  await startDatabase(processes, { name: 'ovn-nb', netns, dir, file: 'nb', schema: SCHEMAS.northbound });
  await startDatabase(processes, { name: 'ovn-sb', netns, dir, file: 'sb', schema: SCHEMAS.southbound }, listen);
  for (const init of [nbctl, sbctl])
    await eventually({ what: 'a database of OVN', deadlineMs: START_MS }, () => init('init').then(() => true));
  const northd = [`--ovnnb-db=${northbound}`, `--ovnsb-db=${southbound}`, `--unixctl=${dir}/northd.ctl`];
  await processes.start({ name: 'ovn-northd', command: ['ovn-northd', ...northd], netns });
  return { dir, northbound, southbound, nbctl, sbctl };
}

type Database = {
  readonly name: string;
  readonly netns: string;
  readonly dir: string;
  /** Its file, and its sockets', without an ending. */
  readonly file: string;
  readonly schema: string;
};

async function startDatabase(processes: Processes, database: Database, ...more: readonly string[]): Promise<void> {
  const { name, netns, dir, file, schema } = database;
  await mustRun(['ovsdb-tool', 'create', `${dir}/${file}.db`, schema]);
  const sockets = [`--remote=punix:${dir}/${file}.sock`, `--unixctl=${dir}/${file}.ctl`];
  await processes.start({ name, command: ['ovsdb-server', `${dir}/${file}.db`, ...sockets, ...more], netns });
}

/** The `at`th host, from 1. */
async function startChassis(names: LabNames, processes: Processes, host: LabHost, at: number): Promise<void> {
  const { netns, short } = host;
  const dir = directory(names, host);
  const version = names.overlayIpVersion;
  const address = version === 6 ? `fd00:253::${at}` : `10.255.253.${at}`;
  mkdirSync(dir, { mode: 0o700 });
  await addUplink(names, netns, 'up1', `ovn-${short}`);
  await ipBatch(names.underlayNamespace, [`link set ovn-${short} master br0`]);
  await makeOwnChecksums(netns, 'up1');
  await startDatabase(processes, { name: `ovs-${short}`, netns, dir, file: 'db', schema: SCHEMAS.switch });
  await eventually({ what: `the switch's database of ${short}`, deadlineMs: START_MS }, () =>
    vsctl(names, host, '--no-wait', 'init').then(() => true),
  );
  // Where its programs look for each other's sockets.
  const env = { OVS_RUNDIR: dir, OVN_RUNDIR: dir };
  const start = (name: string, program: string): Promise<LabProcess> =>
    processes.start({ name: `${name}-${short}`, command: [program, `unix:${dir}/db.sock`], netns, env });
  await start('vswitchd', 'ovs-vswitchd');
  const config = {
    'system-id': host.name,
    hostname: host.name,
    'ovn-remote': `tcp:${socketAddress(controlAddress(0, version), SOUTHBOUND_PORT)}`,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': address,
    'ovn-bridge-datapath-type': 'netdev',
  };
  const ids = Object.entries(config).map(([key, value]) => `external-ids:${key}="${value}"`);
  await vsctl(names, host, 'set', 'open', '.', ...ids);
  const bridge = ['set', 'bridge', 'br-phy', 'datapath_type=netdev', '--', 'add-port', 'br-phy', 'up1'];
  await vsctl(names, host, 'add-br', 'br-phy', '--', ...bridge);
  await ipBatch(netns, [
    `addr add ${address}/${version === 6 ? '64 dev br-phy nodad' : '24 dev br-phy'}`,
    'link set br-phy up',
  ]);
  await start('ovn-controller', 'ovn-controller');
  await eventually(
    { what: `br-int of ${short}`, deadlineMs: START_MS, everyMs: 100 },
    async () => (await vsctl(names, host, 'list-br')).split('\n').includes('br-int') || undefined,
  );
}

/** Of the central part, or of a host. */
function directory({ dir }: LabNames, host?: LabHost): string {
  return `${dir}/ovn${host === undefined ? '' : `-${host.short}`}`;
}

function vsctl(names: LabNames, host: LabHost, ...words: readonly string[]): Promise<string> {
  const database = `--db=unix:${directory(names, host)}/db.sock`;
  return mustRun(['ovs-vsctl', database, '--timeout=30', ...words], { netns: host.netns });
}
