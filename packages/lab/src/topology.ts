import type { OverlayIpVersion } from '@cable/model';
import { ipBatch, mustRun } from './exec.ts';
import type { Ledger } from './ledger.ts';
import { controlAddress, type LabHost, type LabNames, routesOf, UNDERLAY_MTU } from './names.ts';

/**
 * Makes the hosts' namespaces, the underlay that joins them, and that of the control plane behind a router:
 *
 *   <lab>-h1 ── up0 ─┐
 *   <lab>-h2 ── up0 ─┼─ br0 in <lab>-net, which routes ── up0 in <lab>-ctl
 *   <lab>-pm1 ─ up0 ─┘
 */
export async function createTopology(names: LabNames, hosts: readonly LabHost[], ledger: Ledger): Promise<void> {
  const { underlayNamespace, overlayIpVersion } = names;
  const { underlay } = routesOf(overlayIpVersion);
  await createNamespace(underlayNamespace, ledger);
  await ipBatch(underlayNamespace, [
    `link add br0 type bridge`,
    `link set br0 up mtu ${UNDERLAY_MTU}`,
    addressOn('br0', underlay.router, overlayIpVersion),
  ]);
  const forwarding = overlayIpVersion === 6 ? 'net/ipv6/conf/all/forwarding' : 'net/ipv4/ip_forward';
  await mustRun(['sh', '-c', `echo 1 >/proc/sys/${forwarding}`], { netns: underlayNamespace });
  await createControl(names, ledger);
  for (const host of hosts) await createHost(names, host, ledger);
}

/** A machine on the underlay, with a route to the control plane. */
export async function createHost(names: LabNames, host: LabHost, ledger: Ledger): Promise<void> {
  const { underlay, control } = routesOf(names.overlayIpVersion);
  await createUplink(names, host.netns, `to-${host.short}`, ledger);
  await ipBatch(names.underlayNamespace, [`link set to-${host.short} master br0`]);
  await ipBatch(host.netns, [
    addressOn('up0', host.underlay, names.overlayIpVersion),
    `route add ${control.subnet} via ${underlay.router}`,
  ]);
}

async function createControl(names: LabNames, ledger: Ledger): Promise<void> {
  const { underlayNamespace, controlNamespace, overlayIpVersion } = names;
  const { underlay, control } = routesOf(overlayIpVersion);
  await createUplink(names, controlNamespace, 'to-ctl', ledger);
  await ipBatch(underlayNamespace, [addressOn('to-ctl', control.router, overlayIpVersion)]);
  await ipBatch(controlNamespace, [
    addressOn('up0', controlAddress(0, overlayIpVersion), overlayIpVersion),
    `route add ${underlay.subnet} via ${control.router}`,
  ]);
}

/** A namespace with `up0`, whose other end is in the underlay's namespace; both are up. */
async function createUplink(names: LabNames, netns: string, otherEnd: string, ledger: Ledger): Promise<void> {
  await createNamespace(netns, ledger);
  await addUplink(names, netns, 'up0', otherEnd);
}

/** A device in a namespace whose other end is in the underlay's; both are up. */
export async function addUplink(names: LabNames, netns: string, device: string, otherEnd: string): Promise<void> {
  await ipBatch(names.underlayNamespace, [
    `link add ${otherEnd} type veth peer name ${device} netns ${netns}`,
    `link set ${otherEnd} up`,
  ]);
  await ipBatch(netns, [`link set ${device} up`]);
}

/** A command of `ip` that gives a device an address of one of the two subnets. */
export function addressOn(device: string, address: string, version: OverlayIpVersion): string {
  return `addr add ${address}/${routesOf(version).prefixLength} dev ${device}${version === 6 ? ' nodad' : ''}`;
}

/** An empty network namespace with its loopback up. */
export async function createNamespace(name: string, ledger: Ledger): Promise<void> {
  ledger.add({ kind: 'namespace', name });
  await mustRun(['ip', 'netns', 'add', name]);
  await ipBatch(name, ['link set lo up']);
}

/** Links of a host that Cable made for ports: `cv…`, `cb…`, `tap…`. */
export async function portLinks(host: LabHost): Promise<readonly string[]> {
  const links = JSON.parse(await mustRun(['ip', '-json', '-netns', host.netns, 'link', 'show'])) as readonly {
    ifname: string;
  }[];
  return links.map((link) => link.ifname).filter((name) => /^(cv|cb|tap)[0-9a-f]{8}-/.test(name));
}
