/**
 * The network namespace of the guest services, one a host. In it are the agent's end of the service link and the sockets of the servers, and nothing else.
 */
import type { Netns } from '../net/netns.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { type LinkedNetns, openLinkedNetns, removeLinkedNetns } from './linked-netns.ts';

/** The vrouter's end of the service link, in the agent's own namespace. */
export const SERVICE_PEER_NAME = 'cables1';
const NAMESPACE: LinkedNetns = { file: 'services.netns', link: SERVICE_PEER_NAME, use: 'the guest services' };

/** As `openLinkedNetns`. */
export function openServiceNamespace(runDir: string, socket: NetlinkSocket): Netns {
  return openLinkedNetns(NAMESPACE, runDir, socket);
}

/** False: there was none. */
export function removeServiceNamespace(runDir: string): boolean {
  return removeLinkedNetns(NAMESPACE, runDir);
}
