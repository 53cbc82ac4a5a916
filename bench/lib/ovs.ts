import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addVeth, ipIn, run, runIn } from './net.ts';

/** A host with an Open vSwitch of its own: its database, its daemon and a bridge with two guests. */
export type OvsHost = { readonly addresses: readonly [string, string]; readonly close: () => Promise<void> };

export type OvsOptions = {
  /** Namespaces of the guests. */
  readonly ends: readonly [string, string];
  /** Rules of the security group; all but one match nothing of the benchmark's. */
  readonly rules: number;
  readonly mtu: string;
};

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const ADDRESSES = ['10.9.3.1', '10.9.3.2'] as const;

/**
 * Builds it in the namespace `ns`. The datapath is the userspace one (`netdev`), over packet sockets: the kernel's needs a module that is not everywhere. Throws with nothing
 * left running.
 */
export async function addOvsHost(ns: string, { ends, rules, mtu }: OvsOptions): Promise<OvsHost> {
  const dir = mkdtempSync(join(tmpdir(), 'cable-ovs-'));
  const daemons: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    for (const daemon of daemons.reverse()) await end(daemon);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const socket = `unix:${dir}/db.sock`;
    run('ovsdb-tool', 'create', `${dir}/conf.db`, SCHEMA);
    const database = [`--remote=p${socket}`, `--unixctl=${dir}/db.ctl`, `--log-file=${dir}/db.log`];
    daemons.push(start(ns, dir, 'ovsdb-server', `${dir}/conf.db`, ...database));
    const vsctl = (...words: string[]): string => runIn(ns, 'ovs-vsctl', `--db=${socket}`, '--timeout=30', ...words);
    await until(() => vsctl('--no-wait', 'init'));
    daemons.push(start(ns, dir, 'ovs-vswitchd', socket, `--unixctl=${dir}/vs.ctl`, `--log-file=${dir}/vs.log`));
    vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail-mode=secure');
    for (const [i, guest] of ends.entries()) {
      addVeth({ ns: guest, dev: 'eth0' }, { ns, dev: `g${i}` });
      ipIn(guest, 'link', 'set', 'eth0', 'mtu', mtu);
      ipIn(guest, 'addr', 'add', `${ADDRESSES[i]}/24`, 'dev', 'eth0');
      // The daemon sees packets as they are on a wire, and would pass on those whose checksum is still to be made.
      runIn(guest, 'ethtool', '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off');
      vsctl('add-port', 'br0', `g${i}`);
    }
    runIn(ns, { input: `${group(rules).join('\n')}\n` }, 'ovs-ofctl', 'add-flows', `unix:${dir}/br0.mgmt`, '-');
    return { addresses: ADDRESSES, close };
  } catch (err) {
    await close();
    throw err;
  }
}

/** The security group in OpenFlow: connections that are known pass, first packets need a rule. */
function group(rules: number): readonly string[] {
  const others = [...Array(rules - 1).keys()].map(
    (i) =>
      `table=1,priority=10,ct_state=+new,tcp,nw_src=100.${64 + (i >> 8)}.${i & 255}.0/24,tp_dst=${1024 + i},actions=ct(commit),NORMAL`,
  );
  return [
    'table=0,priority=10,arp,actions=NORMAL',
    'table=0,priority=10,ip,actions=ct(table=1)',
    'table=1,priority=20,ct_state=+est,ip,actions=NORMAL',
    'table=1,priority=20,ct_state=+rel,ip,actions=NORMAL',
    ...['tcp', 'udp'].map(
      (protocol) =>
        `table=1,priority=10,ct_state=+new,${protocol},nw_src=10.9.3.0/24,tp_dst=0x1b58/0xfff8,actions=ct(commit),NORMAL`,
    ),
    ...others,
  ];
}

/** `dir`: where it has its sockets. */
function start(ns: string, dir: string, ...words: readonly string[]): ChildProcess {
  const [program = '', ...args] = words;
  const env = { ...process.env, OVS_RUNDIR: dir };
  return spawn('nsenter', [`--net=/run/netns/${ns}`, program, ...args], { stdio: 'ignore', env });
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const gone = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  const hurry = setTimeout(() => daemon.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(hurry);
}

async function until(attempt: () => unknown): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      attempt();
      return;
    } catch (err) {
      if (tries === 100) throw err;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
