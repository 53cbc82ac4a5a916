import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClusterService, formatDnsName, parseIp, readDnsName, type ServiceBackend } from '@cable/model';
import { ClusterZone } from './cluster-zone.ts';
import { answerDns, encodeAlias } from './dns-answer.ts';
import { DNS_FLAG, DNS_TYPE, type DnsRecord, decodeDnsMessage, encodeDnsMessage } from './dns-message.ts';
import { type DnsQuery, internetRecord } from './dns-query.ts';
import { ask, describeDns, zone } from './testing/dns-client.ts';

const HTTP = { name: 'http', protocol: 'TCP', port: 80 } as const;

function service(id: string, more: Partial<ClusterService> = {}): ClusterService {
  return { id, name: `shop/${id}`, projectId: 'k', clusterIps: [], externalIps: [], ports: [HTTP], ...more };
}

function backend(serviceId: string, ipAddress: string, more: Partial<ServiceBackend> = {}): ServiceBackend {
  return { serviceId, ipAddress, ports: [{ ...HTTP, port: 8080 }], ...more };
}

/** A cluster of `cluster.local` whose Services and endpoints a test changes. */
function cluster(domain = 'cluster.local') {
  const [services, backends] = [new Map<string, ClusterService>(), new Map<string, ServiceBackend>()];
  const header = { scopeId: 'k1', cidrs: ['10.96.0.0/16', 'fd96::/112'], routerIds: ['r1'], clusterDomain: domain };
  const made = new ClusterZone(header, { service: (id) => services.get(id), backend: (key) => backends.get(key) });
  const put = (one: ClusterService | string): void => {
    if (typeof one === 'string') services.delete(one);
    else services.set(one.id, one);
    made.changeService(typeof one === 'string' ? one : one.id);
  };
  const serve = (key: string, one: ServiceBackend | undefined): void => {
    if (one === undefined) backends.delete(key);
    else backends.set(key, one);
    made.changeBackend(key);
  };
  return { zone: made, put, serve };
}

/** The Services of the table below. */
function shop() {
  const { zone: made, put, serve } = cluster();
  put(service('web', { clusterIps: ['10.96.0.10', 'fd96::a'], ports: [HTTP, { ...HTTP, name: '', protocol: 'UDP' }] }));
  // An endpoint may be seen before its Service.
  serve('s1/10.1.0.5', backend('db', '10.1.0.5', { hostname: 'db-0' }));
  put(service('db'));
  serve('s1/10.1.0.6', backend('db', '10.1.0.6', { hostname: 'db-1', ports: [{ ...HTTP, port: 8081 }] }));
  serve('s1/10.1.0.7', backend('db', '10.1.0.7', { hostname: 'db-2', terminating: true }));
  put(service('six'));
  serve('s2/fd00::7', backend('six', 'fd00::7'));
  put(service('empty'));
  put(service('elsewhere', { externalName: 'www.example.com', ports: [] }));
  put(service('alias', { externalName: 'web.shop.svc.cluster.local', ports: [] }));
  put(service('vm', { externalName: 'web-1.example.org.', ports: [] }));
  put(service('round', { externalName: 'round.shop.svc.cluster.local', ports: [] }));
  return { zone: made, put, serve };
}

function dataText({ type, data }: DnsRecord): string {
  const nameAt = (at: number): string => formatDnsName(readDnsName(data, at)?.name ?? []);
  if (type === DNS_TYPE.a) return data.join('.');
  if (type === DNS_TYPE.aaaa) return Buffer.from(data).toString('hex');
  if (type === DNS_TYPE.srv) return `${data[1]} ${data[3]} ${((data[4] ?? 0) << 8) | (data[5] ?? 0)} ${nameAt(6)}`;
  if (type === DNS_TYPE.txt) return Buffer.from(data.subarray(1)).toString();
  return nameAt(0);
}

/** Code and answers, in order of their texts; `soa OWNER` where there is none. */
function answer(made: ClusterZone, name: string, type: number): string {
  const outcome = answerDns(ask(name, type), zone(), { protocol: 'tcp', canForward: true, clusters: [made] });
  if (outcome.kind === 'alias') {
    assert.equal(outcome.chain.length > 0, true);
    return `${outcome.chain.map(dataText).join()} > ?`;
  }
  if (outcome.kind !== 'answer') return outcome.kind;
  const message = decodeDnsMessage(outcome.bytes, 4096);
  assert.ok(message !== undefined && (message.flags & DNS_FLAG.authoritative) !== 0, 'authoritative');
  for (const { ttlSeconds, type: of } of message.answers)
    if (of !== 13) assert.ok(ttlSeconds === 5 || ttlSeconds === 30);
  const told = message.answers.map(dataText).sort();
  const soa = message.authorities.map((one) => `soa ${formatDnsName(one.name)}`);
  return [message.flags & DNS_FLAG.rcode, ...told, ...soa].join(' ');
}

const { a, aaaa, srv, ptr, txt, cname, ns, mx } = DNS_TYPE;
const NO_NAME = '3 soa cluster.local.';
const NO_DATA = '0 soa cluster.local.';

for (const [what, name, type, expected] of [
  ['2.2 the version', 'dns-version.cluster.local', txt, '0 1.1.0'],
  ['2.2 no other record of it', 'dns-version.cluster.local', a, NO_DATA],
  ['2.3.1 a ClusterIP', 'web.shop.svc.cluster.local', a, '0 10.96.0.10'],
  ['2.3.1 in IPv6', 'web.shop.svc.cluster.local', aaaa, '0 fd96000000000000000000000000000a'],
  ['in other letters', 'WEB.Shop.SVC.Cluster.LOCAL', a, '0 10.96.0.10'],
  ['2.3.2 a port', '_http._tcp.web.shop.svc.cluster.local', srv, '0 0 100 80 web.shop.svc.cluster.local.'],
  ['2.3.2 a port has no address', '_http._tcp.web.shop.svc.cluster.local', a, NO_DATA],
  ['2.3.2 another protocol', '_http._udp.web.shop.svc.cluster.local', srv, NO_NAME],
  ['2.3.2 no port of that name', '_https._tcp.web.shop.svc.cluster.local', srv, NO_NAME],
  ['a name above ports', '_tcp.web.shop.svc.cluster.local', srv, NO_DATA],
  ['2.3.3 reverse', '10.0.96.10.in-addr.arpa', ptr, '0 web.shop.svc.cluster.local.'],
  ['2.3.3 reverse of none', '11.0.96.10.in-addr.arpa', ptr, '3 soa 0.96.10.in-addr.arpa.'],
  ['2.4.1 who serves', 'db.shop.svc.cluster.local', a, '0 10.1.0.5 10.1.0.6'],
  ['2.4.1 no such address', 'db.shop.svc.cluster.local', aaaa, NO_DATA],
  ['2.4.1 by host name', 'db-0.db.shop.svc.cluster.local', a, '0 10.1.0.5'],
  ['2.4.1 one that is not ready', 'db-2.db.shop.svc.cluster.local', a, NO_NAME],
  ['2.4.1 by address', '10-1-0-5.db.shop.svc.cluster.local', a, NO_NAME],
  [
    '2.4.1 by address where there is no host name',
    'fd00--7.six.shop.svc.cluster.local',
    aaaa,
    `0 fd00${'0'.repeat(24)}0007`,
  ],
  ['2.4.1 nobody is ready', 'empty.shop.svc.cluster.local', a, NO_NAME],
  [
    '2.4.2 each at its own port',
    '_http._tcp.db.shop.svc.cluster.local',
    srv,
    '0 0 50 8080 db-0.db.shop.svc.cluster.local. 0 50 8081 db-1.db.shop.svc.cluster.local.',
  ],
  ['2.4.2 no port of that name', '_dns._tcp.db.shop.svc.cluster.local', srv, NO_NAME],
  ['2.4.3 reverse of a host name', '5.0.1.10.in-addr.arpa', ptr, '0 db-0.db.shop.svc.cluster.local.'],
  ['2.4.3 one that is not ready', '7.0.1.10.in-addr.arpa', ptr, 'forward'],
  ['2.5 an ExternalName', 'elsewhere.shop.svc.cluster.local', a, 'www.example.com. > ?'],
  ['2.5 itself', 'elsewhere.shop.svc.cluster.local', cname, '0 www.example.com.'],
  ['2.5 of the cluster', 'alias.shop.svc.cluster.local', a, '0 10.96.0.10 web.shop.svc.cluster.local.'],
  ['2.5 of the network', 'vm.shop.svc.cluster.local', a, '0 10.0.0.5 web-1.example.org.'],
  ['nothing below it', 'x.elsewhere.shop.svc.cluster.local', a, NO_NAME],
  ['the domain', 'cluster.local', a, NO_DATA],
  ['the domain has no name servers here', 'cluster.local', ns, NO_DATA],
  ['a namespace', 'shop.svc.cluster.local', a, NO_DATA],
  ['no namespace', 'other.svc.cluster.local', a, NO_NAME],
  ['no Service', 'nobody.shop.svc.cluster.local', mx, NO_NAME],
  ['pods have none', '10-1-0-5.shop.pod.cluster.local', a, NO_NAME],
  ['below a Service', 'x.web.shop.svc.cluster.local', a, NO_NAME],
  ['a search list’s leftover', 'www.example.com.shop.svc.cluster.local', a, NO_NAME],
  ['and the next', 'www.example.com.cluster.local', aaaa, NO_NAME],
  ['another domain', 'cluster.local.example.net', a, 'forward'],
  ['the network’s own', 'web-1.example.org', a, '0 10.0.0.5'],
] as const) {
  test(`Kubernetes DNS 1.1.0: ${what} (${name})`, () => {
    assert.equal(answer(shop().zone, name, type), expected);
  });
}

test('a ClusterIP has its Service’s name, in either version of IP, and an address that none has does not exist', () => {
  const { zone: made } = shop();
  const names = (text: string): readonly string[] | undefined => {
    const ip = parseIp(text);
    assert.ok(ip !== undefined);
    return made.namesOf(ip)?.map(formatDnsName);
  };
  assert.deepEqual(names('10.96.0.10'), ['web.shop.svc.cluster.local.']);
  assert.deepEqual(names('fd96::a'), ['web.shop.svc.cluster.local.']);
  assert.deepEqual(names('10.96.0.11'), []);
  assert.equal(names('10.1.0.99'), undefined);
});

test('aliases that lead in a circle end', () => {
  const outcome = answerDns(ask('round.shop.svc.cluster.local', a), zone(), {
    ...{ protocol: 'udp', canForward: true, clusters: [shop().zone] },
  });
  assert.equal(outcome.kind === 'answer' ? describeDns(outcome.bytes).slice(0, 1) : '', '2');
});

test('what is elsewhere is asked for and told behind the alias, by TCP when a datagram has no room', async () => {
  const outcome = answerDns(ask('elsewhere.shop.svc.cluster.local', a), zone(), {
    ...{ protocol: 'udp', canForward: true, clusters: [shop().zone] },
  });
  assert.ok(outcome.kind === 'alias');
  const asked: string[] = [];
  const reply = async ({ question }: DnsQuery, protocol: 'udp' | 'tcp' = 'udp'): Promise<Uint8Array> => {
    asked.push(`${formatDnsName(question.name)} ${protocol}`);
    const cut = protocol === 'udp' ? DNS_FLAG.truncated : 0;
    const answers = cut ? [] : [internetRecord(question.name, 1, 60, Uint8Array.of(203, 0, 113, 80))];
    const flags = DNS_FLAG.response | cut;
    return encodeDnsMessage({ id: 1, flags, questions: [question], answers, authorities: [], additionals: [] });
  };
  const told = decodeDnsMessage(await encodeAlias(outcome, reply, 'udp'), 10);
  assert.deepEqual(told?.answers.map(dataText), ['www.example.com.', '203.0.113.80']);
  assert.deepEqual(asked, ['www.example.com. udp', 'www.example.com. tcp']);
});

test('what changes is told at once, and what goes is forgotten', () => {
  const { zone: made, put, serve } = shop();
  const web = 'web.shop.svc.cluster.local';
  put(service('web2', { name: 'shop/web', clusterIps: ['10.96.0.11'] }));
  assert.equal(answer(made, web, a), '0 10.96.0.11', 'made anew: the new one counts');
  put('web');
  assert.equal(answer(made, web, a), '0 10.96.0.11');
  put('web2');
  assert.equal(answer(made, web, a), NO_NAME);
  serve('s1/10.1.0.5', undefined);
  assert.equal(answer(made, 'db.shop.svc.cluster.local', a), '0 10.1.0.6');
  assert.equal(answer(made, '5.0.1.10.in-addr.arpa', ptr), 'forward');
  serve('s1/10.1.0.7', backend('db', '10.1.0.7', { hostname: 'db-2' }));
  assert.equal(answer(made, 'db-2.db.shop.svc.cluster.local', a), '0 10.1.0.7');
  for (const id of ['db', 'six', 'empty', 'elsewhere', 'alias', 'vm', 'round']) put(id);
  assert.equal(answer(made, 'shop.svc.cluster.local', a), NO_NAME, 'a namespace without Services');
});

test('of many who serve each is first now and then, and a datagram has as many as it has room for', () => {
  const { zone: made, put, serve } = cluster();
  put(service('many'));
  for (let n = 0; n < 300; n += 1) serve(`s/${n}`, backend('many', `10.1.${n >> 8}.${n & 255}`));
  const firsts = new Set<string>();
  for (let n = 0; n < 20; n += 1) {
    const outcome = answerDns(ask('many.shop.svc.cluster.local', a, { edns: 1232 }), zone(), {
      ...{ protocol: 'udp', canForward: false, clusters: [made] },
    });
    assert.ok(outcome.kind === 'answer' && outcome.bytes.length <= 1232);
    const message = decodeDnsMessage(outcome.bytes, 400);
    assert.ok(message !== undefined && (message.flags & DNS_FLAG.truncated) !== 0);
    assert.ok(message.answers.length > 65, String(message.answers.length));
    firsts.add(message.answers.map(dataText)[0] ?? '');
  }
  assert.ok(firsts.size > 10, String(firsts.size));
  assert.equal(answer(made, 'many.shop.svc.cluster.local', a).split(' ').length, 301, 'by TCP all are told');
});

test('of two clusters with one domain each tells the names that it alone has', () => {
  const [one, other] = [cluster(), cluster()];
  one.put(service('web', { clusterIps: ['10.96.0.10'] }));
  other.put(service('web', { clusterIps: ['10.97.0.10'] }));
  other.put(service('db', { clusterIps: ['10.97.0.11'] }));
  const told = (name: string): string => {
    const clusters = [one.zone, other.zone];
    const outcome = answerDns(ask(`${name}.shop.svc.cluster.local`, a), zone(), {
      ...{ protocol: 'udp', canForward: true, clusters },
    });
    return outcome.kind === 'answer' ? describeDns(outcome.bytes) : outcome.kind;
  };
  assert.match(told('web'), /10\.96\.0\.10$/);
  assert.match(told('db'), /10\.97\.0\.11$/);
  assert.match(told('nobody'), /^3 aa/);
});
