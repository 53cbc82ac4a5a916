import { addVeth, ipIn, runIn } from './net.ts';
import { startOvs } from './ovs-daemons.ts';

/** A host with an Open vSwitch of its own: its database, its daemon and a bridge with two guests. */
export type OvsHost = { readonly addresses: readonly [string, string]; readonly close: () => Promise<void> };

export type OvsOptions = {
  /** Namespaces of the guests. */
  readonly ends: readonly [string, string];
  /** Rules of the security group; all but one match nothing of the benchmark's. */
  readonly rules: number;
  readonly mtu: string;
};

const ADDRESSES = ['10.9.3.1', '10.9.3.2'] as const;

/**
 * Builds it in the namespace `ns`. The datapath is the userspace one (`netdev`), over packet sockets: the kernel's needs a module that is not everywhere. Throws with nothing
 * left running.
 */
export async function addOvsHost(ns: string, { ends, rules, mtu }: OvsOptions): Promise<OvsHost> {
  const { directory, vsctl, close } = await startOvs(ns);
  try {
    vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail-mode=secure');
    for (const [i, guest] of ends.entries()) {
      addVeth({ ns: guest, dev: 'eth0' }, { ns, dev: `g${i}` });
      ipIn(guest, 'link', 'set', 'eth0', 'mtu', mtu);
      ipIn(guest, 'addr', 'add', `${ADDRESSES[i]}/24`, 'dev', 'eth0');
      // The daemon sees packets as they are on a wire, and would pass on those whose checksum is still to be made.
      runIn(guest, 'ethtool', '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off');
      vsctl('add-port', 'br0', `g${i}`);
    }
    runIn(ns, { input: `${group(rules).join('\n')}\n` }, 'ovs-ofctl', 'add-flows', `unix:${directory}/br0.mgmt`, '-');
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
