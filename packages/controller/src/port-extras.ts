/** What a pod's annotations say of its port besides where it is and who may reach it: anti-spoofing, further addresses, who has the default route. */
import { ApiError, type Client } from '@cable/api';
import { type AnyObject, formatCidr, formatIp, ipBits, parseIpOrCidr } from '@cable/model';
import { namedRows } from './named-rows.ts';
import { onlyOne, Unfit } from './pod-place.ts';
import { sameSet } from './pod-ports.ts';
import type { PortFacts } from './port-book.ts';
import { WishError } from './wish-error.ts';
import type { PodWishes } from './wishes.ts';

export type Extras = {
  /** Undefined: as the network has it. */
  readonly portSecurity: boolean | undefined;
  /** Addresses and prefixes, in one form. */
  readonly pairs: readonly string[];
  /** Null: who came first has it. */
  readonly defaultRoute: boolean | null;
};

/** Throws `Unfit` for a name of an address that its project does not have. */
export async function extrasOf(
  client: Client,
  { portSecurity, pairs = [] }: Pick<PodWishes, 'portSecurity' | 'pairs'>,
  defaultRoute: boolean | null,
): Promise<Extras> {
  const named = pairs.filter((one) => parseIpOrCidr(one) === undefined);
  const rows = await namedRows(client, 'port', named);
  const found = pairs.flatMap((one) => prefixIn(one) ?? addressesOf(one, rows.get(one) ?? []));
  return { portSecurity, pairs: [...new Set(found)], defaultRoute };
}

function prefixIn(text: string): string | undefined {
  const prefix = parseIpOrCidr(text);
  if (prefix === undefined) return undefined;
  return prefix.prefixLength === ipBits(prefix.base) ? formatIp(prefix.base) : formatCidr(prefix);
}

/** Of the port that keeps an address for several, by its name or ID. */
function addressesOf(text: string, found: readonly AnyObject[]): readonly string[] {
  const port = onlyOne(
    // A pod's own port has the pod's name.
    found.filter((one) => one['device_owner'] === ''),
    'address or port',
    text,
  );
  return (port['fixed_ips'] as PortAddresses).map((one) => one.ip_address);
}

type PortAddresses = readonly { readonly ip_address: string }[];

/** For a new port. That it has anti-spoofing where its network has none is said by a change. */
export function extrasBody({ portSecurity, pairs, defaultRoute }: Extras): object {
  return {
    ...(portSecurity === false ? { port_security_enabled: false } : {}),
    ...(pairs.length === 0 ? {} : { allowed_address_pairs: pairsBody(pairs) }),
    ...(defaultRoute === null ? {} : { 'cable:default_route': defaultRoute }),
  };
}

/** What is to be changed of a port that is there. */
export async function extrasChanges(
  client: Client,
  port: PortFacts,
  { portSecurity, pairs, defaultRoute }: Extras,
): Promise<Readonly<Record<string, unknown>>> {
  // Of most ports nobody says anything, and they have it.
  const wanted = portSecurity ?? (port.portSecurity || (await defaultOf(client, port)));
  return {
    ...(wanted === port.portSecurity ? {} : { port_security_enabled: wanted }),
    ...(sameSet(pairs, port.pairs) ? {} : { allowed_address_pairs: pairsBody(pairs) }),
    ...(defaultRoute === port.defaultRoute ? {} : { 'cable:default_route': defaultRoute }),
  };
}

async function defaultOf(client: Client, { networkId }: PortFacts): Promise<boolean> {
  return (await client.get('network', networkId))['port_security_enabled'] === true;
}

function pairsBody(pairs: readonly string[]): readonly object[] {
  return pairs.map((address) => ({ ip_address: address }));
}

/** What the server does not let the project have is an `Unfit`, which says what it is about. */
export async function explaining<T>(extras: Extras, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (err) {
    const isAsked = extras.portSecurity !== undefined || extras.pairs.length > 0;
    if (!isAsked || !(err instanceof ApiError) || err.status !== 403) throw err;
    const about = extras.pairs.length > 0 ? 'pairs' : 'portSecurity';
    throw new Unfit(`its project may say that in networks of its own alone: ${err.message}`, { about });
  }
}

/** Who of a pod's interfaces has the default route, by the name of the interface: null: who came first has it. Throws `WishError` where several ask for it. */
export function defaultRoutes(
  interfaces: readonly { readonly name: string; readonly wishes: Pick<PodWishes, 'defaultRoute'> }[],
): ReadonlyMap<string, boolean | null> {
  const asking = interfaces.filter(({ wishes }) => wishes.defaultRoute === true).map(({ name }) => name);
  if (asking.length > 1) throw new WishError(`annotation default-route: of ${asking.join(' and ')} one can have it`);
  return new Map(
    interfaces.map(({ name, wishes }) => [name, wishes.defaultRoute ?? (asking.length === 0 ? null : false)]),
  );
}
