/**
 * What others' rules of nf_tables do to a node of a Kubernetes cluster: a chain that drops what it does not know cuts pods' ways outside and node ports, and what kube-proxy has left answers for Services
 * in Cable's stead. They are reported with a remedy, not removed: they are an operator's. iptables of today makes such tables; of the older kind the kernel tells no more than their names.
 */
import { readFileSync } from 'node:fs';
import { absentOn } from '../ffi/errno.ts';
import { type FoundChain, listChains, namedDevices } from '../net/nft.ts';
import type { NetlinkSocket } from '../net/socket.ts';

export type HostWarning = { readonly what: string; readonly remedy: string };

/** How names of the host's own links begin. */
const OWN_LINKS = 'cb';
/** NF_INET_FORWARD. */
const FORWARD = 2;
const IP_FAMILIES: ReadonlySet<string> = new Set(['inet', 'ip', 'ip6']);
/** What kube-proxy makes, by how it works: rules of iptables, a table of its own, a device. */
const KUBE_PROXY = { chain: 'KUBE-SERVICES', table: 'kube-proxy', device: 'kube-ipvs0' } as const;
const KUBE_PROXY_REMEDY =
  'kubectl -n kube-system delete daemonset/kube-proxy, then on each node kube-proxy --cleanup (or restart the node)';

/** In this process's network namespace. `hasDevice`: by name. */
export function foreignRules(socket: NetlinkSocket, hasDevice: (name: string) => boolean): readonly HostWarning[] {
  const chains = listChains(socket).filter(({ table }) => table !== 'cable' && !table.startsWith('cable-'));
  return [
    ...chains.filter(isClosing).flatMap((chain) => closing(socket, chain)),
    ...legacyTables(),
    ...kubeProxy(chains, hasDevice),
  ];
}

function isClosing({ family, table, hook, policy }: FoundChain): boolean {
  return IP_FAMILIES.has(family) && hook === FORWARD && (policy === 'drop' || isFirewalld(table));
}

/** Its last rule refuses, whatever the policy is. */
function isFirewalld(table: string): boolean {
  return table === 'firewalld';
}

/** Nothing where the table has rules for the node's links: somebody has thought of them. */
function closing(socket: NetlinkSocket, { family, table, name }: FoundChain): readonly HostWarning[] {
  const named = namedDevices(socket, { family, table }).filter((one) => one.name.startsWith(OWN_LINKS));
  const has = (direction: 'in' | 'out'): boolean => named.some((one) => one.direction === direction);
  if (has('in') && (has('out') || isFirewalld(table))) return [];
  const what = `the chain ${name} of the nftables table ${family} ${table} drops what it does not know of packets that this host forwards: pods may have no way outside, and node ports no answer`;
  return [{ what, remedy: remedyFor(family, table, name) }];
}

function remedyFor(family: string, table: string, chain: string): string {
  if (isFirewalld(table))
    return `firewall-cmd --permanent --zone=trusted --add-interface=${OWN_LINKS}+ && firewall-cmd --reload`;
  const rules = ['i', 'o'] as const;
  if (family !== 'inet' && chain === 'FORWARD') {
    const program = family === 'ip6' ? 'ip6tables' : 'iptables';
    return rules.map((side) => `${program} -I FORWARD -${side} ${OWN_LINKS}+ -j ACCEPT`).join(' && ');
  }
  return rules
    .map((side) => `nft insert rule ${family} ${table} ${chain} ${side}ifname '"${OWN_LINKS}*"' accept`)
    .join(' && ');
}

function legacyTables(): readonly HostWarning[] {
  return [
    { file: '/proc/net/ip_tables_names', program: 'iptables-legacy' },
    { file: '/proc/net/ip6_tables_names', program: 'ip6tables-legacy' },
  ].flatMap(({ file, program }) => {
    const names = absentOn(['ENOENT', 'EACCES', 'EPERM'], () => readFileSync(file, 'utf8')) ?? '';
    if (!names.split('\n').includes('filter')) return [];
    const what = `${program} has a table filter, into which the agent cannot look: where its chain FORWARD drops, pods have no way outside and node ports no answer`;
    const rules = ['i', 'o'].map((side) => `${program} -I FORWARD -${side} ${OWN_LINKS}+ -j ACCEPT`);
    return [{ what, remedy: `look with ${program} -S FORWARD; ${rules.join(' && ')}` }];
  });
}

function kubeProxy(chains: readonly FoundChain[], hasDevice: (name: string) => boolean): readonly HostWarning[] {
  const places = [
    ...chains
      .filter(({ name }) => name === KUBE_PROXY.chain)
      .map(({ family, table, name }) => `the chain ${name} of the nftables table ${family} ${table}`),
    ...new Set(
      chains
        .filter(({ table }) => table === KUBE_PROXY.table)
        .map(({ family, table }) => `the nftables table ${family} ${table}`),
    ),
    ...(hasDevice(KUBE_PROXY.device) ? [`the device ${KUBE_PROXY.device}`] : []),
  ];
  if (places.length === 0) return [];
  const what = `kube-proxy runs here or has left something, which answers for Services in Cable’s stead: ${places.join(', ')}`;
  return [{ what, remedy: KUBE_PROXY_REMEDY }];
}
