/** What names of a cluster cost the agent of a host: memory of the zone, and CPU of an answer. Run with `--expose-gc`. */
import { type ClusterService, parseDnsName, type ServiceBackend } from '@cable/model';
import { ClusterZone } from '../packages/agent/src/guest/cluster-zone.ts';
import { answerDns } from '../packages/agent/src/guest/dns-answer.ts';
import { DnsCache } from '../packages/agent/src/guest/dns-cache.ts';
import { DNS_FLAG, encodeDnsMessage } from '../packages/agent/src/guest/dns-message.ts';
import { internetRecord, parseDnsQuery } from '../packages/agent/src/guest/dns-query.ts';
import { NetworkZone } from '../packages/agent/src/guest/dns-zone.ts';

const SERVICES = 10_000;
const ENDPOINTS = 10;
const ROUNDS = 100_000;
const PORTS = [{ name: 'http', protocol: 'TCP', port: 80 } as const];

function heapMiB(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

function ask(name: string, type: number): Uint8Array {
  const questions = [{ name: parseDnsName(name) ?? [], type, class: 1 }];
  const flags = DNS_FLAG.recursionDesired;
  return encodeDnsMessage({ id: 1, flags, questions, answers: [], authorities: [], additionals: [] });
}

/** Microseconds of each. */
function measure(what: string, run: (round: number) => void): void {
  for (let round = 0; round < ROUNDS / 10; round += 1) run(round);
  const startedAt = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round += 1) run(round);
  const { user, system } = process.cpuUsage(startedAt);
  const micros = (user + system) / ROUNDS;
  process.stdout.write(`${what}: ${micros.toFixed(1)} us, ${Math.round(1e6 / micros)} a second of one CPU\n`);
}

const services = new Map<string, ClusterService>();
const backends = new Map<string, ServiceBackend>();
for (let n = 0; n < SERVICES; n += 1) {
  const id = `7d3f5b21-0a9c-4e8d-b6f7-${String(n).padStart(12, '0')}`;
  const ip = `10.96.${n >> 8}.${n & 255}`;
  const isHeadless = n % 10 === 0;
  services.set(id, {
    ...{ id, name: `ns-${n % 100}/svc-${n}`, projectId: 'k', externalIps: [], ports: PORTS },
    clusterIps: isHeadless ? [] : [ip],
  });
  for (let m = 0; m < ENDPOINTS; m += 1) {
    const ipAddress = `10.${128 + (n >> 12)}.${(n >> 4) & 255}.${((n & 15) * ENDPOINTS + m) & 255}`;
    const hostname = isHeadless ? { hostname: `svc-${n}-${m}` } : {};
    backends.set(`${id}/${ipAddress}`, { serviceId: id, ipAddress, ports: PORTS, ...hostname });
  }
}
const before = heapMiB();
const startedAt = performance.now();
const header = { scopeId: 'k', cidrs: ['10.96.0.0/12'], routerIds: [], clusterDomain: 'cluster.local' };
const zone = new ClusterZone(header, { service: (id) => services.get(id), backend: (key) => backends.get(key) });
for (const id of services.keys()) zone.changeService(id);
for (const key of backends.keys()) zone.changeBackend(key);
const tookMs = performance.now() - startedAt;
process.stdout.write(
  `${SERVICES} Services of ${ENDPOINTS} endpoints: made in ${Math.round(tookMs)} ms, ${(heapMiB() - before).toFixed(1)} MiB beside the slices\n`,
);
const key = [...backends.keys()][17] ?? '';
measure('an endpoint that changes', () => zone.changeBackend(key));
const network = new NetworkZone({ domain: '', cidrs: ['10.128.0.0/9'], gatewayIps: [] });
const options = { protocol: 'udp', canForward: true, clusters: [zone] } as const;
for (const [what, question] of [
  ['a ClusterIP', ask('svc-5.ns-5.svc.cluster.local', 1)],
  ['a headless Service of ten', ask('svc-10.ns-10.svc.cluster.local', 1)],
  ['a name of a search list that does not exist', ask('www.example.com.ns-5.svc.cluster.local', 28)],
] as const)
  measure(what, () => answerDns(question, network, options));
const cache = new DnsCache({ now: () => performance.now() });
const parsed = parseDnsQuery(ask('www.example.com', 1));
if (parsed.kind !== 'query') throw new Error('it is a query');
const { query } = parsed;
const answers = [internetRecord(query.question.name, 1, 3600, Uint8Array.of(203, 0, 113, 80))];
const answer = { id: 1, flags: DNS_FLAG.response, questions: [query.question], answers, authorities: [] };
cache.put('k', query, encodeDnsMessage({ ...answer, additionals: [] }), 2);
measure('a kept answer of others, from the question on', () => {
  const asked = parseDnsQuery(ask('www.example.com', 1));
  if (asked.kind === 'query') cache.get('k', asked.query);
});
