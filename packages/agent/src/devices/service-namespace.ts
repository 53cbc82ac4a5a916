/**
 * The network namespace of the guest services, one a host, whatever number of networks it carries. In it are the agent's end of the service link and the sockets
 * of the servers, and nothing else. It outlives the agent: a file below `--run` holds it.
 */
import { join } from 'node:path';
import { NetlinkError } from '../ffi/errno.ts';
import { createHeldNetns, heldNetnsPaths, holdNetnsAt, openHeldNetns, releaseNetns } from '../net/held-netns.ts';
import { getLink } from '../net/link.ts';
import { type Netns, ownNetnsId } from '../net/netns.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { netnsNumber } from '../net/veth.ts';

/** The vrouter's end of the service link, in the agent's own namespace. */
export const SERVICE_PEER_NAME = 'cables1';
const FILE = 'services.netns';

/**
 * Adopts the namespace, or makes it. A host that got another name has it below the run directory of the old one: there the service link leads to it, and it is held
 * here from then on.
 */
export function openServiceNamespace(runDir: string, socket: NetlinkSocket): Netns {
  const path = join(runDir, FILE);
  const netns = openHeldNetns(path) ?? adoptLinked(socket, path) ?? createHeldNetns(path);
  if (netns.id !== ownNetnsId()) return netns;
  netns.close();
  const detail = `it is the network namespace that the agent itself runs in: umount ${path}`;
  throw new NetlinkError(`use ${path} for the guest services`, 'EINVAL', detail);
}

/** False: there was none. */
export function removeServiceNamespace(runDir: string): boolean {
  return releaseNetns(join(runDir, FILE));
}

/** The one in which the other end of the service link is, as far as it is held by an agent's file. */
function adoptLinked(socket: NetlinkSocket, path: string): Netns | undefined {
  const number = getLink(socket, SERVICE_PEER_NAME)?.peerNetnsid;
  if (number === undefined) return undefined;
  for (const elsewhere of heldNetnsPaths(FILE)) {
    const held = openHeldNetns(elsewhere);
    if (held === undefined) continue;
    try {
      if (netnsNumber(socket, held) !== number) continue;
      const here = holdNetnsAt(held, path);
      releaseNetns(elsewhere);
      return here;
    } finally {
      held.close();
    }
  }
  return undefined;
}
