import { formatDnsName, parseDnsName, readDnsName } from '@cable/model';
import { DNS_FLAG, type DnsMessage, type DnsRecord, decodeDnsMessage, encodeDnsMessage } from '../dns-message.ts';
import { type DnsZone, NetworkZone } from '../dns-zone.ts';

/** Of each name its addresses. */
export type SampleHosts = readonly { readonly fqdn: string; readonly addresses: readonly string[] }[];

/** A network's names, each of a port of its own, all in the domain. */
export function zoneOf(domain: string, hosts: SampleHosts, cidrs: readonly string[] = []): NetworkZone {
  const made = new NetworkZone({ domain, cidrs, gatewayIps: [] });
  hosts.forEach(({ fqdn, addresses }, index) => {
    const name = fqdn.replace(/\.$/, '').slice(0, -domain.replace(/\.$/, '').length - 1);
    made.setPort(`port-${index}`, { name, domain: '', ipAddresses: addresses });
  });
  return made;
}

/** example.org with web-1 (both families), web-2 (IPv4), db.inner (IPv6), and an address with two names. */
export function zone(hosts: SampleHosts = HOSTS): DnsZone {
  return zoneOf('example.org.', hosts, ['10.0.0.0/24', 'fd00::/64', '203.0.113.0/24']);
}

const HOSTS: SampleHosts = [
  { fqdn: 'web-1.example.org.', addresses: ['10.0.0.5', 'fd00::5'] },
  { fqdn: 'web-2.example.org.', addresses: ['10.0.0.6', '203.0.113.6'] },
  { fqdn: 'alias.example.org.', addresses: ['10.0.0.6'] },
  { fqdn: 'db.inner.example.org.', addresses: ['fd00::7'] },
];

export type AskFields = {
  readonly id?: number;
  readonly flags?: number;
  readonly class?: number;
  /** Payload size; absent: no EDNS. */
  readonly edns?: number;
  /** TTL of the OPT record: extended code, version, flags. */
  readonly ednsTtl?: number;
};

/** A query for a name and a type. */
export function ask(name: string, type: number, fields: AskFields = {}): Uint8Array {
  const opt: DnsRecord[] =
    fields.edns === undefined
      ? []
      : [{ name: [], type: 41, class: fields.edns, ttlSeconds: fields.ednsTtl ?? 0, data: new Uint8Array(0) }];
  return encodeDnsMessage({
    id: fields.id ?? 0x1234,
    flags: fields.flags ?? DNS_FLAG.recursionDesired,
    questions: [{ name: parseDnsName(name) ?? [], type, class: fields.class ?? 1 }],
    answers: [],
    authorities: [],
    additionals: opt,
  });
}

/** An answer as text: code, flags, and the records of the three sections. */
export function describeDns(bytes: Uint8Array): string {
  const message = decodeDnsMessage(bytes, 4096);
  if (message === undefined) return 'malformed';
  const sections = [message.answers, message.authorities, message.additionals].map((records) =>
    records.map(describeRecord).join(' + '),
  );
  return [`${message.flags & DNS_FLAG.rcode}${flagsOf(message)}`, ...sections].join(' | ').replace(/[ |]+$/, '');
}

function flagsOf({ flags }: DnsMessage): string {
  const named: readonly (readonly [number, string])[] = [
    [DNS_FLAG.authoritative, ' aa'],
    [DNS_FLAG.truncated, ' tc'],
    [DNS_FLAG.recursionAvailable, ' ra'],
  ];
  return named.map(([flag, name]) => ((flags & flag) === 0 ? '' : name)).join('');
}

function describeRecord({ name, type, data, class: size, ttlSeconds }: DnsRecord): string {
  if (type === 41) return `opt ${size}${ttlSeconds === 0 ? '' : ` ${ttlSeconds.toString(16)}`}`;
  const owner = formatDnsName(name);
  if (type === 1) return `${owner} a ${data.join('.')}`;
  if (type === 28) return `${owner} aaaa ${Buffer.from(data).toString('hex')}`;
  if (type === 12) return `${owner} ptr ${formatDnsName(readDnsName(data, 0)?.name ?? [])}`;
  return `${owner} ${type === 6 ? 'soa' : type === 13 ? 'hinfo' : type}`;
}
