import { type DnsName, dnsNameKey, formatDnsName, formatIp, ipFromBytes, readDnsName } from '@cable/model';
import type { GuestRecord } from '../desired.ts';
import { DNS_CLASS, DNS_FLAG, DNS_TYPE, decodeDnsMessage } from './dns-message.ts';

/** Addresses that a guest is about to be told. */
export type ToldAnswer = {
  readonly vif: number;
  readonly portId: string;
  /** The name that was asked for, and those that it stands for, one after the other: in small letters, with a dot at the end. */
  readonly names: readonly string[];
  /** Of the last name. */
  readonly addresses: readonly string[];
  /** The least of all that led there. */
  readonly ttlSeconds: number;
};

/** As many as an answer has of those that are told on, and of this host's own. */
const MAX_RECORDS = 4096;
const MAX_NAMES = 16;

/** What of the answer a guest will take for addresses of what it asked for; undefined: nothing. Records that the question does not lead to do not count. */
export function toldOf(
  answer: Uint8Array,
  { vif, portId }: Pick<GuestRecord, 'vif' | 'portId'>,
): ToldAnswer | undefined {
  const message = decodeDnsMessage(answer, MAX_RECORDS);
  const [question] = message?.questions ?? [];
  if (message === undefined || question === undefined || (message.flags & DNS_FLAG.rcode) !== 0) return undefined;
  if (question.type !== DNS_TYPE.a && question.type !== DNS_TYPE.aaaa) return undefined;
  const records = message.answers.filter((one) => one.class === DNS_CLASS.internet);
  const chain: DnsName[] = [question.name];
  let ttlSeconds = Number.POSITIVE_INFINITY;
  for (let key = dnsNameKey(question.name); chain.length <= MAX_NAMES; ) {
    const alias = records.find((one) => one.type === DNS_TYPE.cname && dnsNameKey(one.name) === key);
    const target = alias === undefined ? undefined : readDnsName(alias.data, 0)?.name;
    if (alias === undefined || target === undefined) break;
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds);
    chain.push(target);
    key = dnsNameKey(target);
  }
  const last = dnsNameKey(chain.at(-1) ?? []);
  const found = records.filter((one) => one.type === question.type && dnsNameKey(one.name) === last);
  const addresses = found.flatMap(({ data }) => {
    if (question.type === DNS_TYPE.a) return data.length === 4 ? [data.join('.')] : [];
    const ip = data.length === 16 ? ipFromBytes(data) : undefined;
    return ip === undefined ? [] : [formatIp(ip)];
  });
  if (addresses.length === 0) return undefined;
  for (const one of found) ttlSeconds = Math.min(ttlSeconds, one.ttlSeconds);
  const names = chain.map((name) => formatDnsName(name).toLowerCase());
  return { vif, portId, names, addresses: [...new Set(addresses)], ttlSeconds };
}
