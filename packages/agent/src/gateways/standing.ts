/** Who is the gateway of a router, as far as can be seen from this host: pure. Hosts are named by their underlay addresses. */

import { placeName } from './probe-frame.ts';

/** What a host says of itself. `stands`: hosts whose place it has taken, by `placeName`. */
export type Beacon = { readonly serves: boolean; readonly stands: ReadonlySet<string> };

/** A host as it is seen. `beacon` undefined: it has not said anything yet. */
export type Seen = { readonly isAlive: boolean; readonly beacon: Beacon | undefined };

export type Sight = {
  /** This host. */
  readonly self: string;
  /** What it says of itself. */
  readonly own: Beacon;
  readonly seen: (host: string) => Seen;
};

/**
 * The host that is the gateway; undefined: nobody, as far as this host is concerned. `hosts`: those that may be, in order.
 *
 * It is the first that lives, serves and in whose place none of those after it stands that does so too. So a gateway that comes back after another has taken its place
 * stays behind that one until the server says otherwise. This host itself must have taken the place of each that is before it (`wantedPlaces`), or that one must say that it
 * does not serve.
 */
export function activeOf(hosts: readonly string[], sight: Sight): string | undefined {
  const at = hosts.findIndex((_host, place) => isUsable(hosts, place, sight));
  const [first] = hosts;
  if (at < 0) return first === sight.self ? undefined : first;
  const host = hosts[at];
  if (host !== sight.self) return host;
  const open = hosts.slice(0, at).find((one, place) => !isSuperseded(hosts, place, sight) && !hasYielded(one, sight));
  return open ?? host;
}

/** Hosts whose place this host would have to take to be the gateway: they are before it, and dead. */
export function wantedPlaces(hosts: readonly string[], sight: Sight): readonly string[] {
  const at = hosts.findIndex((_host, place) => isUsable(hosts, place, sight));
  if (at < 1 || hosts[at] !== sight.self) return [];
  return hosts
    .slice(0, at)
    .filter((one, place) => !isSuperseded(hosts, place, sight) && !hasYielded(one, sight) && !sight.seen(one).isAlive);
}

function isUsable(hosts: readonly string[], place: number, sight: Sight): boolean {
  return serves(hosts[place], sight) && !isSuperseded(hosts, place, sight);
}

function serves(host: string | undefined, sight: Sight): boolean {
  if (host === undefined) return false;
  if (host === sight.self) return sight.own.serves;
  const { isAlive, beacon } = sight.seen(host);
  return isAlive && beacon?.serves !== false;
}

/** Does one that is after it, lives and serves stand in its place? */
function isSuperseded(hosts: readonly string[], place: number, sight: Sight): boolean {
  const host = hosts[place];
  return (
    host !== undefined &&
    hosts.slice(place + 1).some((one) => serves(one, sight) && standsOf(one, sight).has(placeName(host)))
  );
}

function hasYielded(host: string, sight: Sight): boolean {
  const { isAlive, beacon } = sight.seen(host);
  return isAlive && beacon?.serves === false;
}

function standsOf(host: string, sight: Sight): ReadonlySet<string> {
  return (host === sight.self ? sight.own.stands : sight.seen(host).beacon?.stands) ?? NOBODY;
}

const NOBODY: ReadonlySet<string> = new Set();
