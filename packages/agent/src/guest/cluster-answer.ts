import { randomInt } from 'node:crypto';
import { type DnsName, dnsNameKey, encodeDnsName, type IpAddress, isWithin } from '@cable/model';
import type { ClusterEntry, ClusterZone } from './cluster-zone.ts';
import { hinfo, negative, positive, soa } from './dns-content.ts';
import { DNS_RCODE, DNS_TYPE, type DnsQuestion, type DnsRecord } from './dns-message.ts';
import { type DnsContent, internetRecord } from './dns-query.ts';

/** What is known; or `chain`, the records that lead to `target`, which no cluster here knows. */
export type ClusterAnswer = DnsContent | { readonly chain: readonly DnsRecord[]; readonly target: DnsName };

/** As CoreDNS has it by default: names follow their Services within seconds. */
const TTL_SECONDS = 5;
/** Names that stand for others, one after the other. */
const MAX_ALIASES = 8;

/** What clusters know of the question. Undefined: it is of none. Of two clusters with one domain the first one that has the name is asked. */
export function clusterAnswer(question: DnsQuestion, clusters: readonly ClusterZone[]): ClusterAnswer | undefined {
  const chain: DnsRecord[] = [];
  let { name } = question;
  for (;;) {
    const found = find(name, clusters);
    if (found === undefined) return chain.length === 0 ? undefined : { chain, target: name };
    const { domain, entry } = found;
    const alias = question.type === DNS_TYPE.any ? undefined : entry?.alias;
    if (alias === undefined || question.type === DNS_TYPE.cname) {
      const rest = contentOf({ ...question, name }, domain, entry);
      return chain.length === 0 ? rest : { ...rest, answers: [...chain, ...rest.answers] };
    }
    if (chain.length === MAX_ALIASES) return { ...positive([]), rcode: DNS_RCODE.serverFailure };
    chain.push(cname(name, alias));
    name = alias;
  }
}

/** The same of an address. */
export function clusterReverse(
  { name, type }: DnsQuestion,
  address: IpAddress,
  clusters: readonly ClusterZone[],
): DnsContent | undefined {
  const found = clusters.map((cluster) => ({ domain: cluster.domain, names: cluster.namesOf(address) }));
  const first = found.find(({ names = [] }) => names.length > 0) ?? found.find(({ names }) => names !== undefined);
  if (first === undefined) return undefined;
  const { names = [] } = first;
  const above = name.slice(1);
  if (names.length === 0) return negative(DNS_RCODE.nameError, above, TTL_SECONDS);
  if (type === DNS_TYPE.any) return positive([hinfo(name, TTL_SECONDS)]);
  if (type !== DNS_TYPE.ptr) return negative(DNS_RCODE.noError, above, TTL_SECONDS);
  return positive(names.map((one) => internetRecord(name, DNS_TYPE.ptr, TTL_SECONDS, encodeDnsName(one))));
}

type Found = { readonly domain: DnsName; readonly entry: ClusterEntry | undefined };

/** Of the longest domain that the name is in. */
function find(name: DnsName, clusters: readonly ClusterZone[]): Found | undefined {
  let found: Found | undefined;
  for (const cluster of clusters) {
    const { domain } = cluster;
    if (domain.length === 0 || !isWithin(name, domain)) continue;
    if (found !== undefined && found.domain.length > domain.length) continue;
    if (found?.entry !== undefined && found.domain.length === domain.length) continue;
    found = { domain, entry: cluster.entry(name) };
  }
  return found;
}

function contentOf({ name, type }: DnsQuestion, domain: DnsName, entry: ClusterEntry | undefined): DnsContent {
  if (entry === undefined) return negative(DNS_RCODE.nameError, domain, TTL_SECONDS);
  if (type === DNS_TYPE.any) return positive([hinfo(name, TTL_SECONDS)]);
  if (type === DNS_TYPE.soa && dnsNameKey(name) === dnsNameKey(domain)) return positive([soa(name, TTL_SECONDS)]);
  const records = dataOf(type, entry).map((data) => internetRecord(name, type, TTL_SECONDS, data));
  return records.length === 0
    ? negative(DNS_RCODE.noError, domain, TTL_SECONDS)
    : { ...positive(records), mayBeCut: true };
}

function dataOf(type: number, { v4, v6, served, alias, text }: ClusterEntry): readonly Uint8Array[] {
  if (type === DNS_TYPE.a) return shuffled(v4);
  if (type === DNS_TYPE.aaaa) return shuffled(v6);
  if (type === DNS_TYPE.cname) return alias === undefined ? [] : [encodeDnsName(alias)];
  if (type === DNS_TYPE.txt && text !== undefined) return [Uint8Array.of(text.length, ...Buffer.from(text))];
  if (type !== DNS_TYPE.srv) return [];
  // One priority, and equal shares of a hundred, as CoreDNS has it.
  const weight = Math.max(1, Math.floor(100 / served.length));
  return shuffled(served).map(({ port, target }) =>
    Buffer.concat([Uint8Array.of(0, 0, 0, weight, port >> 8, port & 0xff), encodeDnsName(target)]),
  );
}

/** Clients take the first: so each is first as often as another. */
function shuffled<T>(all: readonly T[]): readonly T[] {
  if (all.length < 2) return all;
  const mixed = [...all];
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    const other = randomInt(last + 1);
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
  }
  return mixed;
}

/** That a name stands for another one. */
export function cname(name: DnsName, target: DnsName): DnsRecord {
  return internetRecord(name, DNS_TYPE.cname, TTL_SECONDS, encodeDnsName(target));
}
