import { rmSync } from 'node:fs';
import type { Logger } from '@cable/kit';
import { removePins } from './bpf/pin.ts';
import { removeHostLinks } from './devices/host-links.ts';
import { removeOwnLinks } from './devices/own-links.ts';
import { removeIngressFilter } from './net/filter.ts';
import { deleteLink, listLinks } from './net/link.ts';
import { NetlinkSocket } from './net/socket.ts';
import type { AgentOptions } from './options.ts';

/** VIF ends of pods, also of those in the making, and of host-owned ports. Taps are the hypervisor's. */
const OWN_VIF = /^(cv[0-9a-f-]{11}|cn-[0-9a-f]{10})$/;

/** Removes whatever carries the mark of this host's agents: maps, links, programs on devices, state and sockets. */
export function teardown(options: AgentOptions, log: Logger): void {
  removePins(options.pinDir);
  const socket = new NetlinkSocket();
  try {
    const links = new Map(listLinks(socket).map((link) => [link.name, link]));
    for (const { ifindex } of links.values()) removeIngressFilter(socket, ifindex);
    removeHostLinks(links, socket);
    for (const { name, kind } of links.values()) if (kind === 'veth' && OWN_VIF.test(name)) deleteLink(socket, name);
    removeOwnLinks(socket);
  } finally {
    socket.close();
  }
  rmSync(options.stateDir, { recursive: true, force: true });
  rmSync(options.runDir, { recursive: true, force: true });
  log.info({ host: options.host }, 'removed everything of this host');
}
