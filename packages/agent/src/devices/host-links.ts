/**
 * veth pairs of host-owned ports: the machine's own NIC in a Cable network. Ours are known by their name (`cb` + 11 characters of a port id)
 * and kind; their routes by Cable's route protocol number on that device.
 */
import { type Logger, sleep, startLoop } from '@cable/kit';
import type { HostLink } from '../desired.ts';
import { setAddresses } from '../net/address.ts';
import { deleteLink, deleteLinksAside } from '../net/link.ts';
import { deleteRoute, ensureRoute, listRoutes, ROUTE_PROTOCOL } from '../net/route.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { ensureVeth } from '../net/veth.ts';
import type { LinkTable } from './link-table.ts';
import { quietDevice } from './own-links.ts';

const OWN_NAME = /^cb[0-9a-f-]{11}$/;

export type HostLinkResult = {
  /** True: devices came or went, so the link table is out of date. */
  readonly changed: boolean;
  /** Why a port's link could not be made, by port id. */
  readonly failures: ReadonlyMap<string, string>;
};

/** Links that go are gathered for so long: the kernel deletes many in the time of one, and has its hands full meanwhile. */
const GATHER_MS = 100;

/** Makes the wanted links as wanted. What is right is not touched. */
export function applyHostLinks(
  wanted: ReadonlyMap<string, HostLink>,
  deps: { readonly socket: NetlinkSocket; readonly log: Logger },
): HostLinkResult {
  const failures = new Map<string, string>();
  let changed = false;
  for (const link of wanted.values()) {
    try {
      if (applyOne(deps.socket, link)) changed = true;
    } catch (err) {
      const reason = err instanceof Error ? err.message : String(err);
      failures.set(link.portId, reason);
      deps.log.warn({ portId: link.portId, device: link.name, err }, 'cannot make the link of a host-owned port');
    }
  }
  return { changed, failures };
}

/** Removes links of ports that are gone, in the background; those it is given replace those it was given before. */
export type HostLinkRemover = { remove(names: ReadonlySet<string>): void; readonly done: Promise<void> };

/** Names of our links of which no port is wanted. */
export function unwantedHostLinks(wanted: ReadonlyMap<string, HostLink>, links: LinkTable): ReadonlySet<string> {
  const names = new Set([...wanted.values()].map((link) => link.name));
  const ours = [...links.values()].filter(({ name, kind }) => kind === 'veth' && OWN_NAME.test(name));
  return new Set(ours.map(({ name }) => name).filter((name) => !names.has(name)));
}

/** Starts the remover. What is not removed when the signal aborts stays for the next run. */
export function startHostLinkRemover(deps: { readonly log: Logger; readonly signal: AbortSignal }): HostLinkRemover {
  let going: ReadonlySet<string> = new Set();
  const socket = new NetlinkSocket();
  const run = async (): Promise<void> => {
    if (going.size > 0) await sleep(GATHER_MS, deps.signal);
    if (deps.signal.aborted || going.size === 0) return;
    const names = going;
    going = new Set();
    await deleteLinksAside(socket, names);
    deps.log.debug({ names: [...names] }, 'removed links of ports that are gone');
  };
  const loop = startLoop({ name: 'host link remover', log: deps.log, signal: deps.signal, run });
  const remove = (names: ReadonlySet<string>): void => {
    going = names;
    if (names.size > 0) loop.trigger();
  };
  return { remove, done: loop.done.finally(() => socket.close()) };
}

/** Removes every link of host-owned ports. */
export function removeHostLinks(links: LinkTable, socket: NetlinkSocket): void {
  for (const { name, kind } of links.values()) if (kind === 'veth' && OWN_NAME.test(name)) deleteLink(socket, name);
}

/** True: the pair is new. */
function applyOne(socket: NetlinkSocket, wanted: HostLink): boolean {
  const { name, vifName, macAddress, mtuBytes } = wanted;
  const pair = ensureVeth(socket, { name: vifName, mtuBytes, peer: { name, mac: macAddress, mtuBytes } });
  if (pair.created) quietDevice(vifName);
  const { ifindex } = pair.peer;
  setAddresses(socket, ifindex, wanted.addresses);
  const destinations = new Set(wanted.routes.map((route) => route.destination));
  for (const route of listRoutes(socket, { protocol: ROUTE_PROTOCOL })) {
    if (route.ifindex !== ifindex || route.protocol !== ROUTE_PROTOCOL || destinations.has(route.destination)) continue;
    deleteRoute(socket, { destination: route.destination, ifindex });
  }
  for (const { destination, gateway } of wanted.routes) ensureRoute(socket, { destination, ifindex, gateway });
  return pair.created;
}
