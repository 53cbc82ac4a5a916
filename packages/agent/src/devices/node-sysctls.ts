/** Settings of the kernel that this host relies on as a node of a Kubernetes cluster. Each stays as it is when the agent ends: others may rely on it by then. */
import { readdirSync } from 'node:fs';
import { absentOn } from '../ffi/errno.ts';
import { readSysctl, type SysctlChange, writeSysctl } from '../net/sysctl.ts';

const DEVICES6 = ['net', 'ipv6', 'conf'] as const;

/** Versions of IP that a link with these addresses has. */
export function versionsOf(addresses: readonly string[]): readonly (4 | 6)[] {
  const isIpv6 = (address: string): boolean => address.includes(':');
  return [...(addresses.every(isIpv6) ? [] : [4 as const]), ...(addresses.some(isIpv6) ? [6 as const] : [])];
}

/** Lets the kernel forward packets of these versions of IP. Gives what it changed. */
export function letForward(versions: ReadonlySet<4 | 6>): readonly SysctlChange[] {
  return [
    ...(versions.has(4) ? changed(writeSysctl(['net', 'ipv4', 'ip_forward'], 1)) : []),
    ...(versions.has(6) ? letForward6() : []),
  ];
}

function letForward6(): readonly SysctlChange[] {
  // A router hears no router advertisements, unless it is told to: the host would lose its own way outside.
  return [
    ...devices6().flatMap((device) => (acceptRa(device) === '1' ? hearAdvertisements(device) : [])),
    ...changed(writeSysctl([...DEVICES6, 'all', 'forwarding'], 1)),
  ];
}

function devices6(): readonly string[] {
  return readdirSync(`/proc/sys/${DEVICES6.join('/')}`).filter((device) => device !== 'all');
}

/** undefined: the device is gone. */
function acceptRa(device: string): string | undefined {
  return absentOn(['ENOENT'], () => readSysctl([...DEVICES6, device, 'accept_ra']));
}

function hearAdvertisements(device: string): readonly SysctlChange[] {
  return changed(absentOn(['ENOENT'], () => writeSysctl([...DEVICES6, device, 'accept_ra'], 2)));
}

/** Puts right what others have changed since, such as `sysctl --system` by files that say otherwise. */
export class NodeSysctls {
  /** Devices by which the host heard router advertisements, as a router, at the last look. */
  #hearing: ReadonlySet<string> = new Set();

  /** Gives what it changed. `links`: names of the host's own links as a node. */
  keep(links: readonly string[], versions: ReadonlySet<4 | 6>): readonly SysctlChange[] {
    const isForwarding6 = versions.has(6) && readSysctl([...DEVICES6, 'all', 'forwarding']) === '1';
    const deaf = isForwarding6 ? [...this.#hearing].filter((device) => acceptRa(device) === '1') : [];
    const changes = [
      ...letForward(new Set([...versions].filter((version) => version === 4 || !isForwarding6))),
      ...deaf.flatMap(hearAdvertisements),
      ...links.flatMap((link) => [...versions].flatMap((version) => letLinkForward(link, version))),
    ];
    this.#hearing = new Set(versions.has(6) ? devices6().filter((device) => acceptRa(device) === '2') : []);
    return changes;
  }
}

function letLinkForward(link: string, version: 4 | 6): readonly SysctlChange[] {
  // A link may be gone before it is told of.
  return changed(absentOn(['ENOENT'], () => writeSysctl(['net', `ipv${version}`, 'conf', link, 'forwarding'], 1)));
}

function changed(change: SysctlChange | undefined): readonly SysctlChange[] {
  return change === undefined ? [] : [change];
}

const TRACKING = ['net', 'netfilter'] as const;
/** As kube-proxy has it, in whose place a node is without one. */
const CONNECTIONS = { perCore: 32_768, least: 131_072, perBucket: 4 } as const;
const TIMEOUTS = { nf_conntrack_tcp_timeout_established: 86_400, nf_conntrack_tcp_timeout_close_wait: 3_600 } as const;
/** No connection is tracked yet; or the namespace is not the machine's, to whom the numbers are. */
const NOT_HERE = ['ENOENT', 'EACCES', 'EPERM', 'EROFS'] as const;

/** Gives connection tracking the room that a node needs: its bounds are raised, never lowered. Gives what it changed. */
export function sizeConnectionTracking(cores: number): readonly SysctlChange[] {
  const most = Math.max(CONNECTIONS.perCore * cores, CONNECTIONS.least);
  return [
    ...raise('nf_conntrack_buckets', most / CONNECTIONS.perBucket),
    ...raise('nf_conntrack_max', most),
    ...Object.entries(TIMEOUTS).flatMap(([name, seconds]) =>
      changed(absentOn(NOT_HERE, () => writeSysctl([...TRACKING, name], seconds))),
    ),
  ];
}

function raise(name: string, least: number): readonly SysctlChange[] {
  const path = [...TRACKING, name];
  return changed(
    absentOn(NOT_HERE, () => {
      const now = Number(readSysctl(path));
      // 0: as many as there are.
      return now === 0 || now >= least ? undefined : writeSysctl(path, least);
    }),
  );
}
