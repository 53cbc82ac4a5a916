/** Addresses that are inside: of the networks, of Services, or of nobody outside. What a name leads to is never there, whatever is told for it. */
import { orderAround, parsePrefix } from './address.ts';
import { peeredNetworks } from './peerings.ts';
import { joinedNetworks } from './reach.ts';
import type { PlanReader } from './unit.ts';

/**
 * Prefixes of addresses by which nobody outside is reached (IANA's registries of special-purpose addresses), those of the guest services, and those at which clouds tell a machine about itself, the
 * host in this case (Amazon's, Google's and Azure's, Alibaba's). Private ones are not among them: sites use them.
 */
const SPECIAL = [
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '198.18.0.0/15', '224.0.0.0/3'],
  ...['168.63.129.16/32', '100.100.100.200/32', 'fd00:ec2::/32', 'fd20:ce::254/128'],
  ...['::/96', 'fe80::/10', 'ff00::/8', '2002::/16', 'fdca:b1e0::/32'],
];

/** A set of prefixes in which addresses are looked up: costs a look for each length there is. */
export class PrefixSet {
  readonly #orders: ReadonlySet<string>;
  readonly #lengths: readonly number[];
  /** Equal for equal sets. */
  readonly name: string;

  /** Of texts; what is no prefix is passed over. */
  constructor(texts: Iterable<string>) {
    const orders = [
      ...new Set(Array.from(texts, (text) => parsePrefix(text)?.order ?? '').filter((one) => one !== '')),
    ];
    this.#orders = new Set(orders);
    this.#lengths = [...new Set(orders.map((order) => Number(order.slice(-3))))];
    this.name = orders.sort().join();
  }

  /** `order`: `Prefix.order` of an address. */
  has(order: string): boolean {
    return this.#lengths.some((length) => this.#orders.has(orderAround(order, length)));
  }
}

const SPECIAL_SET = new PrefixSet(SPECIAL);

/** Is it an address that is nobody's outside? */
export function isSpecial(order: string): boolean {
  return eitherOf(order, (one) => SPECIAL_SET.has(one));
}

/** Is it in one of the sets? One that stands for an IPv4 address behind a translator (RFC 6052) is where that is, too. */
export function isIn(order: string, sets: readonly PrefixSet[]): boolean {
  return eitherOf(order, (one) => sets.some((set) => set.has(one)));
}

const TRANSLATED = '0064ff9b0000000000000000';
const MAPPED = '00000000000000000000ffff';

function eitherOf(order: string, holds: (order: string) => boolean): boolean {
  if (holds(order)) return true;
  return order.startsWith(TRANSLATED) && holds(MAPPED + order.slice(TRANSLATED.length));
}

/** What packets of a network may be sent to without leaving: subnets of the networks that are joined to it or peered with it, and prefixes of Services. */
export function insideOf(reader: Pick<PlanReader, 'facts' | 'header'>, networkId: string): PrefixSet {
  const cidrs: string[] = [];
  const routers = new Set<string>();
  for (const id of [...joinedNetworks(reader, networkId), ...peeredNetworks(reader, networkId).keys()]) {
    for (const { cidr } of reader.header('network', id)?.subnets ?? []) cidrs.push(cidr);
    for (const { value } of reader.facts('leg-in', id).values()) routers.add(value.routerId);
  }
  for (const id of routers) {
    for (const { value } of reader.facts('leg-of', id).values()) cidrs.push(value.cidr);
    for (const { value } of reader.facts('scope-at', id).values()) cidrs.push(...value.cidrs);
  }
  return new PrefixSet(cidrs);
}
