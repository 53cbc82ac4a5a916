import { addServicesPath, addSnatPath, type ServicesPath } from './linux-router.ts';
import { addNamespace, addVeth, ipIn, type Path, removeNamespace, runIn } from './net.ts';
import { addOvsHost, type OvsHost } from './ovs.ts';

/** The peers that Cable is measured against. None does anti-spoofing, and those that route have no security groups. */
export type LinuxPaths = {
  /** Two namespaces with a pair of devices and nothing between: what no way through a host can beat by much. */
  readonly direct: Path;
  /** Forwards, and does no policy at all; the kernel's netfilter is off for it. */
  readonly bridge: Path;
  /** The same on two hosts, with the kernel's VXLAN. */
  readonly vxlan: Path;
  /** A bridge with a stateful security group through br_netfilter. */
  readonly filtered: (by: Filter, rules: number) => Path;
  /** Open vSwitch with its userspace datapath and a stateful security group by its connection tracking. */
  readonly openVswitch: (rules: number) => Promise<Path>;
  /** A host that routes and translates what leaves. */
  readonly snat: () => Path;
  /** A host that routes and gives connections of virtual addresses to members. */
  readonly services: (by: Filter, services: number) => ServicesPath;
  readonly close: () => Promise<void>;
};

export type Filter = 'nftables' | 'iptables';

const GUEST_MTU = '1450';

/** Builds those without a filter; the others are built when they are asked for. */
export function buildLinuxPaths(prefix: string): LinuxPaths {
  const made: string[] = [];
  const switches: OvsHost[] = [];
  const add = (name: string): string => {
    addNamespace(`${prefix}${name}`);
    made.push(`${prefix}${name}`);
    return `${prefix}${name}`;
  };
  const removeNamespaces = (): void => {
    for (const name of made) removeNamespace(name);
  };
  const close = async (): Promise<void> => {
    for (const one of switches) await one.close();
    removeNamespaces();
  };
  const openVswitch = async (rules: number): Promise<Path> => {
    const number = switches.length;
    const ends = [add(`oa${number}`), add(`ob${number}`)] as const;
    const host = await addOvsHost(add(`o${number}`), { ends, rules, mtu: GUEST_MTU });
    switches.push(host);
    const [client, server] = ends;
    return { name: `Open vSwitch (userspace), ${rules} rules`, client, server, serverAddress: host.addresses[1] };
  };
  try {
    return {
      ...{ direct: noHost(add), bridge: oneHost(add, 'b'), vxlan: twoHosts(add) },
      filtered: (by, rules) => filteredHost(add, by, rules),
      ...{ snat: () => addSnatPath(add), services: (by, services) => addServicesPath(add, by, services) },
      ...{ openVswitch, close },
    };
  } catch (err) {
    removeNamespaces();
    throw err;
  }
}

type Add = (name: string) => string;

function noHost(add: Add): Path {
  const [client, server] = [add('da'), add('db')];
  addVeth({ ns: client, dev: 'eth0' }, { ns: server, dev: 'eth0' });
  for (const [ns, address] of [
    [client, '10.9.2.1/24'],
    [server, '10.9.2.2/24'],
  ] as const) {
    ipIn(ns, 'link', 'set', 'eth0', 'mtu', GUEST_MTU);
    ipIn(ns, 'addr', 'add', address, 'dev', 'eth0');
  }
  return { name: 'a pair of devices, nothing between', client, server, serverAddress: '10.9.2.2' };
}

function oneHost(add: Add, letter: string): Path & { readonly host: string } {
  const host = addBridgeHost(add(`${letter}0`));
  const client = addGuest(add(`${letter}a`), host, '10.9.0.1/24', 'ga');
  const server = addGuest(add(`${letter}b`), host, '10.9.0.2/24', 'gb');
  return { name: 'Linux bridge', client, server, serverAddress: '10.9.0.2', host };
}

function twoHosts(add: Add): Path {
  const [one, two] = [addBridgeHost(add('x1')), addBridgeHost(add('x2'))];
  const underlay = addBridgeHost(add('xu'));
  joinUnderlay(one, '192.168.77.1', underlay, 'to-1');
  joinUnderlay(two, '192.168.77.2', underlay, 'to-2');
  addTunnel(one, '192.168.77.1', '192.168.77.2');
  addTunnel(two, '192.168.77.2', '192.168.77.1');
  const client = addGuest(add('xa'), one, '10.9.1.1/24', 'ga');
  const server = addGuest(add('xb'), two, '10.9.1.2/24', 'gb');
  return { name: 'bridge + kernel VXLAN', client, server, serverAddress: '10.9.1.2' };
}

/**
 * What the same security group is to a bridge's host: answers first, then rule by rule, with the one that lets the benchmark pass in the middle. Only first packets
 * come that far.
 */
function filteredHost(add: Add, by: Filter, rules: number): Path {
  const path = oneHost(add, `${by === 'nftables' ? 'n' : 'i'}${rules}`);
  runIn(path.host, 'sysctl', '-q', '-w', 'net.bridge.bridge-nf-call-iptables=1');
  const others = [...Array(rules - 1).keys()].map((i) => ({
    source: `100.${64 + (i >> 8)}.${i & 255}.0/24`,
    port: String(1024 + i),
  }));
  const middle = others.length >> 1;
  if (by === 'nftables') {
    const line = ({ source, port }: { source: string; port: string }): string =>
      `ip saddr ${source} tcp dport ${port} accept`;
    const own = 'ip saddr 10.9.0.0/24 meta l4proto { tcp, udp } th dport 7000-7010 accept';
    const lines = [...others.slice(0, middle).map(line), own, ...others.slice(middle).map(line)];
    const head =
      'type filter hook forward priority 0; policy drop;\nct state established,related accept\nct state invalid drop';
    runIn(
      path.host,
      { input: `table ip bench {\nchain group {\n${head}\n${lines.join('\n')}\n}\n}\n` },
      'nft',
      '-f',
      '-',
    );
  } else {
    const line = ({ source, port }: { source: string; port: string }): string =>
      `-A FORWARD -s ${source} -p tcp --dport ${port} -j ACCEPT`;
    const own = ['tcp', 'udp'].map(
      (protocol) => `-A FORWARD -s 10.9.0.0/24 -p ${protocol} --dport 7000:7010 -j ACCEPT`,
    );
    const lines = [
      ...['*filter', ':FORWARD DROP [0:0]', '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'],
      '-A FORWARD -m conntrack --ctstate INVALID -j DROP',
      ...[...others.slice(0, middle).map(line), ...own, ...others.slice(middle).map(line), 'COMMIT'],
    ];
    runIn(path.host, { input: `${lines.join('\n')}\n` }, 'iptables-restore');
  }
  return { ...path, name: `bridge + ${by}, ${rules} rules` };
}

function addBridgeHost(ns: string): string {
  ipIn(ns, 'link', 'add', 'br0', 'type', 'bridge');
  ipIn(ns, 'link', 'set', 'br0', 'up');
  // Where br_netfilter is loaded it takes every packet of a bridge, with rules or without.
  runIn(ns, 'sh', '-c', 'test ! -e /proc/sys/net/bridge || sysctl -q -w net.bridge.bridge-nf-call-iptables=0');
  return ns;
}

/** As in the lab that Cable is measured in: a host is connected to a switch, not to the other host. */
function joinUnderlay(ns: string, address: string, underlay: string, port: string): void {
  addVeth({ ns, dev: 'under0' }, { ns: underlay, dev: port });
  ipIn(underlay, 'link', 'set', port, 'master', 'br0');
  ipIn(ns, 'addr', 'add', `${address}/24`, 'dev', 'under0');
}

function addTunnel(ns: string, local: string, remote: string): void {
  const how = ['id', '77', 'local', local, 'remote', remote, 'dstport', '4789', 'dev', 'under0'];
  ipIn(ns, 'link', 'add', 'vx0', 'type', 'vxlan', ...how);
  ipIn(ns, 'link', 'set', 'vx0', 'master', 'br0', 'up');
}

function addGuest(ns: string, host: string, address: string, port: string): string {
  addVeth({ ns, dev: 'eth0' }, { ns: host, dev: port });
  ipIn(host, 'link', 'set', port, 'master', 'br0');
  ipIn(host, 'link', 'set', port, 'mtu', GUEST_MTU);
  ipIn(ns, 'link', 'set', 'eth0', 'mtu', GUEST_MTU);
  ipIn(ns, 'addr', 'add', address, 'dev', 'eth0');
  return ns;
}
