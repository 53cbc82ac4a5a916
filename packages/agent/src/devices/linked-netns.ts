/**
 * Network namespaces of the agent's own, each with one link that leads to it from the agent's. They outlive the agent: a file below `--run` holds each, whatever number of
 * networks the host carries.
 */
import { join } from 'node:path';
import { NetlinkError } from '../ffi/errno.ts';
import { createHeldNetns, heldNetnsPaths, holdNetnsAt, openHeldNetns, releaseNetns } from '../net/held-netns.ts';
import { getLink } from '../net/link.ts';
import { type Netns, ownNetnsId } from '../net/netns.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { netnsNumber } from '../net/veth.ts';

export type LinkedNetns = {
  /** Name of the file below `--run`. */
  readonly file: string;
  /** The link's end in the agent's own namespace. */
  readonly link: string;
  /** What it is for, in words. */
  readonly use: string;
};

/**
 * Adopts the namespace, or makes it. A host that got another name has it below the run directory of the old one: there the link leads to it, and it is held
 * here from then on.
 */
export function openLinkedNetns({ file, link, use }: LinkedNetns, runDir: string, socket: NetlinkSocket): Netns {
  const path = join(runDir, file);
  const netns = openHeldNetns(path) ?? adoptLinked({ file, link }, path, socket) ?? createHeldNetns(path);
  if (netns.id !== ownNetnsId()) return netns;
  netns.close();
  const detail = `it is the network namespace that the agent itself runs in: umount ${path}`;
  throw new NetlinkError(`use ${path} for ${use}`, 'EINVAL', detail);
}

/** False: there was none. */
export function removeLinkedNetns({ file }: Pick<LinkedNetns, 'file'>, runDir: string): boolean {
  return releaseNetns(join(runDir, file));
}

/** The one in which the other end of the link is, as far as it is held by an agent's file. */
function adoptLinked(
  { file, link }: Pick<LinkedNetns, 'file' | 'link'>,
  path: string,
  socket: NetlinkSocket,
): Netns | undefined {
  const number = getLink(socket, link)?.peerNetnsid;
  if (number === undefined) return undefined;
  for (const elsewhere of heldNetnsPaths(file)) {
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
