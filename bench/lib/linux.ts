import { addNamespace, addVeth, ipIn, type Path, removeNamespace } from './net.ts';

/** The peers that Cable is measured against: they forward, and do no policy, anti-spoofing or routing at all. */
export type LinuxPaths = { readonly bridge: Path; readonly vxlan: Path; readonly close: () => void };

const GUEST_MTU = '1450';

/** One host with a Linux bridge, and a pair of hosts with a bridge and a kernel VXLAN device each. */
export function buildLinuxPaths(prefix: string): LinuxPaths {
  const made: string[] = [];
  const add = (name: string): string => {
    addNamespace(`${prefix}${name}`);
    made.push(`${prefix}${name}`);
    return `${prefix}${name}`;
  };
  const close = (): void => {
    for (const name of made) removeNamespace(name);
  };
  try {
    return { bridge: oneHost(add), vxlan: twoHosts(add), close };
  } catch (err) {
    close();
    throw err;
  }
}

function oneHost(add: (name: string) => string): Path {
  const host = addBridgeHost(add('b0'));
  const client = addGuest(add('ba'), host, '10.9.0.1/24', 'ga');
  const server = addGuest(add('bb'), host, '10.9.0.2/24', 'gb');
  return { name: 'Linux bridge', client, server, serverAddress: '10.9.0.2' };
}

function twoHosts(add: (name: string) => string): Path {
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

function addBridgeHost(ns: string): string {
  ipIn(ns, 'link', 'add', 'br0', 'type', 'bridge');
  ipIn(ns, 'link', 'set', 'br0', 'up');
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
