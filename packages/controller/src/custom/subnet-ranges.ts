/** Prefixes and ranges as a `Subnet` says them, and as Cable's API has them. */
import { formatCidr, formatIp, type IpAddress, type IpPrefix, lastIp, parseCidr, parseIp } from '@cable/model';
import { Unmet } from './work.ts';

export type Family = {
  readonly version: 4 | 6;
  readonly cidr: string;
  readonly gateway: string;
  /** `allocation_pools`. */
  readonly pools: readonly { readonly start: string; readonly end: string }[];
};

export type RangesSpec = {
  readonly cidrBlock?: string;
  readonly gateway?: string;
  readonly excludeIps?: readonly string[];
};

/** Most ranges of a subnet. */
const POOLS_MAX = 32;
/** Most of `excludeIps`. */
export const EXCLUDED_MAX = 31;

/** One for each prefix, in their order. Throws `Unmet`. */
export function familiesOf({ cidrBlock = '', gateway = '', excludeIps = [] }: RangesSpec): readonly Family[] {
  const prefixes = listIn(cidrBlock).map((text) => {
    const prefix = parseCidr(text);
    if (prefix === undefined) throw invalid(`cidrBlock: ${text} is no prefix, such as 10.1.0.0/16`);
    return prefix;
  });
  if (prefixes.length === 0) throw invalid('cidrBlock: give a prefix, or one of each version of IP');
  if (new Set(prefixes.map(({ base }) => base.version)).size < prefixes.length)
    throw invalid('cidrBlock: give one prefix of each version of IP at the most');
  const gateways = listIn(gateway).map((text) => addressIn('gateway', text));
  const excluded = excludeIps.map(rangeIn);
  for (const version of [...gateways, ...excluded.map(([first]) => first)].map((one) => one.version)) {
    if (!prefixes.some(({ base }) => base.version === version))
      throw invalid(`cidrBlock has no prefix of IPv${version}, which gateway or excludeIps speak of`);
  }
  return prefixes.map((prefix) => {
    const { version, value } = prefix.base;
    const own = gateways.filter((one) => one.version === version);
    if (own.length > 1) throw invalid('gateway: give one address of each version of IP at the most');
    const at = own[0] ?? { version, value: value + 1n };
    const holes = excluded.flatMap(([a, b]) => (a.version === version ? [[a.value, b.value] as const] : []));
    const pools = without(machinesIn(prefix), [...holes, [at.value, at.value]]);
    if (pools.length === 0) throw invalid(`excludeIps leave no address of ${formatCidr(prefix)}`);
    if (pools.length > POOLS_MAX) throw invalid(`excludeIps: more than ${POOLS_MAX} ranges would be left`);
    return {
      ...{ version, cidr: formatCidr(prefix), gateway: formatIp(at) },
      pools: pools.map(([a, b]) => ({ start: formatIp({ version, value: a }), end: formatIp({ version, value: b }) })),
    };
  });
}

/** `excludeIps` of a subnet that others have made: what its allocation pools leave out, but its gateway. As many as `excludeIps` can have. */
export function excludedOf(
  cidr: string,
  gateway: string | null,
  pools: readonly { readonly start: string; readonly end: string }[],
): readonly string[] {
  const prefix = parseCidr(cidr);
  if (prefix === undefined) return [];
  const { version } = prefix.base;
  const numberIn = (text: string): bigint => parseIp(text)?.value ?? -1n;
  const own = gateway === null ? [] : [[numberIn(gateway), numberIn(gateway)] as const];
  const given = pools.map(({ start, end }) => [numberIn(start), numberIn(end)] as const);
  const text = (value: bigint): string => formatIp({ version, value });
  return without(machinesIn(prefix), [...given, ...own])
    .map(([a, b]) => (a === b ? text(a) : `${text(a)}..${text(b)}`))
    .slice(0, EXCLUDED_MAX);
}

/** What machines may have of a prefix. */
function machinesIn(prefix: IpPrefix): Range {
  const { version, value } = prefix.base;
  const last = lastIp(prefix).value;
  if (prefix.prefixLength >= (version === 4 ? 31 : 127)) return [value, last];
  return [value + 1n, version === 4 ? last - 1n : last];
}

export function listIn(text: string): readonly string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** An address or a prefix as the API writes it; what is neither stays as it is, for the server to refuse. */
export function canonical(text: string): string {
  const [address, prefix] = [parseIp(text), parseCidr(text)];
  if (address !== undefined) return formatIp(address);
  return prefix === undefined ? text : formatCidr(prefix);
}

type Range = readonly [first: bigint, last: bigint];

function without(whole: Range, holes: readonly Range[]): readonly Range[] {
  let left: readonly Range[] = [whole];
  for (const [a, b] of holes) {
    left = left.flatMap(([first, last]): readonly Range[] => {
      if (b < first || a > last) return [[first, last]];
      return (
        [
          [first, a - 1n],
          [b + 1n, last],
        ] as const
      ).filter(([x, y]) => x <= y);
    });
  }
  return left;
}

/** `10.0.0.5`, or `10.0.0.5..10.0.0.9`, as Kube-OVN has it. */
function rangeIn(text: string): readonly [IpAddress, IpAddress] {
  const [first = '', last = first, ...more] = text.split('..');
  const [a, b] = [addressIn('excludeIps', first.trim()), addressIn('excludeIps', last.trim())];
  if (more.length > 0 || a.version !== b.version || a.value > b.value)
    throw invalid(`excludeIps: ${text} is no range, such as 10.1.0.1..10.1.0.9`);
  return [a, b];
}

function addressIn(field: string, text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw invalid(`${field}: ${text} is no IP address`);
  return address;
}

function invalid(message: string): Unmet {
  return new Unmet('Invalid', message);
}
