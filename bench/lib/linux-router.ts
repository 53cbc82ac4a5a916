import { addVeth, ipIn, type Path, runIn } from './net.ts';

const MTU = '1450';
const GUEST = '10.9.4.2';
const MACHINE = '203.0.113.1';
const ROUTER_OUTSIDE = '203.0.113.2';
const VIP = '10.96.0.10';
const MEMBERS = ['10.9.5.2', '10.9.5.3', '10.9.5.4', '10.9.5.5'] as const;
/** What the loads use. */
const PORTS = [
  ['tcp', 7000],
  ['udp', 7000],
  ['tcp', 7001],
] as const;

type Add = (name: string) => string;

/** A Service of UDP with one endpoint, which can be put at either of two addresses of the server while others use it. */
export type Moved = {
  readonly address: string;
  readonly port: number;
  readonly addresses: readonly [string, string];
  /** Resolves when the change was taken, not when it is in force. */
  moveTo(which: 0 | 1): Promise<void>;
};

export type ServicesPath = Path & { readonly moved: Moved };

/** That of the Service that is moved. */
export const MOVED_PORT = 7002;

/** A host that routes and gives what leaves an address of its own, by connection tracking. */
export function addSnatPath(add: Add): Path {
  const { host, client, server } = threeNamespaces(add, 's');
  join(client, host, 'in0', { address: GUEST, gateway: '10.9.4.1', length: 24 });
  join(server, host, 'out0', { address: MACHINE, gateway: ROUTER_OUTSIDE, length: 24 });
  const chain = `type nat hook postrouting priority 100; oifname "out0" snat to ${ROUTER_OUTSIDE}`;
  runIn(host, { input: `table ip bench {\nchain out {\n${chain}\n}\n}\n` }, 'nft', '-f', '-');
  return { name: 'Linux routing + conntrack SNAT', client, server, serverAddress: MACHINE };
}

/**
 * A host that routes and has so many services with four members each, as the proxies of Kubernetes write them; that of the loads is in the middle. A Service is moved by
 * writing its own chain anew, as the proxies do: without the time in which they learn of it and decide.
 */
export function addServicesPath(add: Add, by: 'nftables' | 'iptables', services: number): ServicesPath {
  const { host, client, server } = threeNamespaces(add, `${by === 'nftables' ? 'vn' : 'vi'}${services}`);
  join(client, host, 'in0', { address: GUEST, gateway: '10.9.4.1', length: 24 });
  join(server, host, 'out0', { address: MEMBERS[0], gateway: '10.9.5.1', length: 24 });
  for (const member of MEMBERS.slice(1)) ipIn(server, 'addr', 'add', `${member}/24`, 'dev', 'eth0');
  const all = [...Array(services - 1).keys()].map(
    (n): Service => ({
      ...{ address: `10.96.${1 + (n >> 8)}.${n & 255}`, protocol: 'tcp', port: 80 },
    }),
  );
  const movedService = (member: string): Service => ({
    ...{ address: VIP, protocol: 'udp', port: MOVED_PORT, members: [member] },
  });
  const own = PORTS.map(([protocol, port]): Service => ({ address: VIP, protocol, port }));
  const movedAt = (all.length >> 1) + own.length;
  all.splice(all.length >> 1, 0, ...own, movedService(MEMBERS[0]));
  if (by === 'nftables') runIn(host, { input: nftServices(all) }, 'nft', '-f', '-');
  else runIn(host, { input: iptablesServices(all) }, 'iptables-restore');
  const addresses = [MEMBERS[0], MEMBERS[1]] as const;
  const moveTo = async (which: 0 | 1): Promise<void> => {
    const service = movedService(addresses[which]);
    if (by === 'nftables') {
      const input = `flush chain ip bench s${movedAt}\nadd rule ip bench s${movedAt} ${nftRule(service)}\n`;
      runIn(host, { input }, 'nft', '-f', '-');
    } else {
      const rules = iptablesRules(service, `S${movedAt}`).join('\n');
      runIn(host, { input: `*nat\n:S${movedAt} - [0:0]\n${rules}\nCOMMIT\n` }, 'iptables-restore', '--noflush');
    }
  };
  const name = `Linux routing + ${by}, ${count(services)}`;
  return { name, client, server, serverAddress: VIP, moved: { address: VIP, port: MOVED_PORT, addresses, moveTo } };
}

/** As the rows of the table call so many. */
export function count(services: number): string {
  return services === 1 ? '1 service' : `${services} services`;
}

type Service = {
  readonly address: string;
  readonly protocol: string;
  readonly port: number;
  /** Default: all four. */
  readonly members?: readonly string[];
};

/** One look-up finds the service; a number finds the member. */
function nftServices(all: readonly Service[]): string {
  const chains = all.map((service, n) => `chain s${n} {\n${nftRule(service)}\n}`);
  const elements = all.map(({ address, protocol, port }, n) => `${address} . ${protocol} . ${port} : goto s${n}`);
  const services = `map services {\ntype ipv4_addr . inet_proto . inet_service : verdict\nelements = { ${elements.join(',\n')} }\n}`;
  const pre = 'type nat hook prerouting priority -100;\nip daddr . meta l4proto . th dport vmap @services';
  return `table ip bench {\n${chains.join('\n')}\n${services}\nchain pre {\n${pre}\n}\n}\n`;
}

function nftRule({ protocol, port, members = MEMBERS }: Service): string {
  const places = members.map((member, m) => `${m} : ${member} . ${port}`).join(', ');
  return `meta l4proto ${protocol} dnat ip to numgen random mod ${members.length} map { ${places} }`;
}

/** Service by service. */
function iptablesServices(all: readonly Service[]): string {
  const names = all.map((_, n) => `S${n}`);
  const jumps = all.map(
    ({ address, protocol, port }, n) =>
      `-A PREROUTING -d ${address}/32 -p ${protocol} -m ${protocol} --dport ${port} -j S${n}`,
  );
  const members = all.flatMap((service, n) => iptablesRules(service, `S${n}`));
  return `*nat\n${names.map((name) => `:${name} - [0:0]`).join('\n')}\n${[...jumps, ...members].join('\n')}\nCOMMIT\n`;
}

function iptablesRules({ protocol, port, members = MEMBERS }: Service, chain: string): readonly string[] {
  return members.map((member, m) => {
    const left = members.length - m;
    const chance = left === 1 ? '' : `-m statistic --mode random --probability ${(1 / left).toFixed(6)} `;
    return `-A ${chain} -p ${protocol} ${chance}-j DNAT --to-destination ${member}:${port}`;
  });
}

function threeNamespaces(add: Add, letters: string): { host: string; client: string; server: string } {
  const [host, client, server] = [add(`${letters}0`), add(`${letters}a`), add(`${letters}b`)];
  runIn(host, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
  return { host, client, server };
}

/** An end with its default route through the host. */
function join(
  end: string,
  host: string,
  device: string,
  { address, gateway, length }: { readonly address: string; readonly gateway: string; readonly length: number },
): void {
  addVeth({ ns: end, dev: 'eth0' }, { ns: host, dev: device });
  ipIn(host, 'addr', 'add', `${gateway}/${length}`, 'dev', device);
  ipIn(end, 'link', 'set', 'eth0', 'mtu', MTU);
  ipIn(end, 'addr', 'add', `${address}/${length}`, 'dev', 'eth0');
  ipIn(end, 'route', 'add', 'default', 'via', gateway);
}
