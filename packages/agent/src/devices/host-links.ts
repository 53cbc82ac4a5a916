/**
 * veth pairs of host-owned ports: the machine's own NIC in a Cable network. Ours are known by their name (`cb` + 11 characters of a port id)
 * and kind; their routes by Cable's route protocol number on that device.
 */
import type { Logger } from '@cable/kit';
import type { HostLink } from '../desired.ts';
import { setAddresses } from '../net/address.ts';
import { deleteRoute, ensureRoute, listRoutes, ROUTE_PROTOCOL } from '../net/route.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { ensureVeth } from '../net/veth.ts';
import type { ObservedLink } from './link-rows.ts';
import { letForward, versionsOf } from './node-sysctls.ts';
import { quietDevice } from './own-links.ts';

const OWN_NAME = /^cb[0-9a-f-]{11}$/;

export type HostLinkResult = {
  /** True: devices came. */
  readonly changed: boolean;
  /** Why a port's link could not be made, by port id. */
  readonly failures: ReadonlyMap<string, string>;
};

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

/** Our links of which no port is wanted. */
export function unwantedHostLinks(
  wanted: ReadonlyMap<string, HostLink>,
  links: Iterable<ObservedLink>,
): readonly ObservedLink[] {
  const names = new Set([...wanted.values()].map((link) => link.name));
  return [...links].filter((link) => isHostLink(link) && !names.has(link.name));
}

/** Whether it is the machine's end of a pair that an agent made for a host-owned port. */
export function isHostLink({ name, kind }: Pick<ObservedLink, 'name' | 'kind'>): boolean {
  return kind === 'veth' && OWN_NAME.test(name);
}

/** True: the pair is new. */
function applyOne(socket: NetlinkSocket, wanted: HostLink): boolean {
  const { name, vifName, macAddress, mtuBytes } = wanted;
  const pair = ensureVeth(socket, { name: vifName, mtuBytes, peer: { name, mac: macAddress, mtuBytes } });
  if (pair.created) quietDevice(vifName);
  const { ifindex } = pair.peer;
  if (wanted.forwards === true) letForward(new Set(versionsOf(wanted.addresses)));
  setAddresses(socket, ifindex, wanted.addresses);
  const destinations = new Set(wanted.routes.map((route) => route.destination));
  for (const route of listRoutes(socket, { protocol: ROUTE_PROTOCOL, ifindex })) {
    if (destinations.has(route.destination)) continue;
    deleteRoute(socket, { destination: route.destination, ifindex });
  }
  for (const { destination, gateway } of wanted.routes) ensureRoute(socket, { destination, ifindex, gateway });
  return pair.created;
}
