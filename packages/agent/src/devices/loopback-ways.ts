/**
 * Ways back to loopback: what a process of this host sends to 127.0.0.1 or ::1, and what the kernel leads to a pod from there, is answered by the host's link as a node, and is then for an address that
 * the kernel takes for nobody's on any device but `lo`. The packets themselves never have such an address on the link: the kernel drops those, of IPv4 a rule of `cable-services` does.
 */
import { absentOn } from '../ffi/errno.ts';
import { getLink } from '../net/link.ts';
import { ensureLocalRoute } from '../net/local-route.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { writeSysctl } from '../net/sysctl.ts';

/** The route of `lo` comes first: this one is only for what comes by the link. */
const METRIC = 4096;

/** Opens those of the versions of IP on the links. That of IPv4 is closed where it is not wanted; of IPv6 there is nothing to close. `devices`: of rtnetlink. */
export function keepLoopbackWays(
  devices: NetlinkSocket,
  links: readonly string[],
  { versions, mayClose }: { readonly versions: ReadonlySet<4 | 6>; readonly mayClose: boolean },
): void {
  for (const name of links) {
    // A link may be gone before it is told of, and a host may have no IPv6.
    if (versions.has(4) || mayClose)
      absentOn(['ENOENT', 'ENODEV'], () =>
        writeSysctl(['net', 'ipv4', 'conf', name, 'route_localnet'], versions.has(4) ? 1 : 0),
      );
    const link = versions.has(6) ? getLink(devices, name) : undefined;
    if (link === undefined) continue;
    absentOn(['ENODEV', 'EOPNOTSUPP', 'EAFNOSUPPORT', 'EACCES'], () =>
      ensureLocalRoute(devices, '::1', link.ifindex, METRIC),
    );
  }
}
