import { ipBatch, mustRun } from './exec.ts';
import type { Ledger } from './ledger.ts';
import { type LabHost, type LabNames, UNDERLAY_MTU } from './names.ts';

/**
 * Makes the hosts' namespaces and the underlay that joins them:
 *
 *   <lab>-h1 ── up0 ─┐
 *   <lab>-h2 ── up0 ─┼─ br0 in <lab>-net
 *   <lab>-pm1 ─ up0 ─┘
 */
export async function createTopology(names: LabNames, hosts: readonly LabHost[], ledger: Ledger): Promise<void> {
  await createNamespace(names.underlayNamespace, ledger);
  await ipBatch(names.underlayNamespace, ['link add br0 type bridge', `link set br0 up mtu ${UNDERLAY_MTU}`]);
  for (const host of hosts) await createHost(names, host, ledger);
}

async function createHost(names: LabNames, host: LabHost, ledger: Ledger): Promise<void> {
  await createNamespace(host.netns, ledger);
  await ipBatch(names.underlayNamespace, [
    `link add to-${host.short} type veth peer name up0 netns ${host.netns}`,
    `link set to-${host.short} master br0 up`,
  ]);
  const prefix = names.overlayIpVersion === 6 ? '/64 nodad' : '/24';
  const [length, ...more] = prefix.split(' ');
  await ipBatch(host.netns, [`addr add ${host.underlay}${length} dev up0 ${more.join(' ')}`.trim(), 'link set up0 up']);
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
