import { type DnsName, encodeDnsName } from '@cable/model';
import { DNS_RCODE, DNS_TYPE, type DnsRecord } from './dns-message.ts';
import { type DnsContent, internetRecord } from './dns-query.ts';

/** What answers of own names are made of. */

/** Serial, refresh, retry, expiry; the minimum is the time to live of what is not there. */
const SOA_TIMES = [1, 3600, 600, 86_400];

export function positive(answers: readonly DnsRecord[]): DnsContent {
  return { rcode: DNS_RCODE.noError, authoritative: true, answers, authorities: [] };
}

/** There is no such name, or no such record of it; `owner`: the zone (RFC 2308 §3). */
export function negative(rcode: number, owner: DnsName, ttlSeconds: number): DnsContent {
  return { rcode, authoritative: true, answers: [], authorities: [soa(owner, ttlSeconds)] };
}

export function soa(owner: DnsName, ttlSeconds: number): DnsRecord {
  const server = encodeDnsName(owner);
  // A mailbox that would make the name too long is left out.
  const mailbox = server.length + 11 <= 255 ? encodeDnsName(['hostmaster', ...owner]) : server;
  const times = new DataView(new ArrayBuffer(20));
  [...SOA_TIMES, ttlSeconds].forEach((seconds, index) => {
    times.setUint32(index * 4, seconds);
  });
  const data = Buffer.concat([server, mailbox, new Uint8Array(times.buffer)]);
  return internetRecord(owner, DNS_TYPE.soa, ttlSeconds, data);
}

/** RFC 8482 §4.2: a question for everything gets one record that says why not. */
export function hinfo(name: DnsName, ttlSeconds: number): DnsRecord {
  const text = new TextEncoder().encode('RFC8482');
  const data = Buffer.concat([Uint8Array.of(text.length), text, Uint8Array.of(0)]);
  return internetRecord(name, DNS_TYPE.hinfo, ttlSeconds, data);
}
