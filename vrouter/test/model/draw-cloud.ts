/** Draws clouds, and changes of them. */
import type { Change } from './case.ts';
import type { Cloud, Group, Leg, Network, Pair, Peering, Policy, Port, Route, Router, Rule } from './cloud.ts';
import { METADATA_ADDRESS } from './cloud.ts';
import type { Draw } from './draw.ts';

const HOSTS = ['h1', 'h2', 'h3'] as const;
/** The third is seldom a peer. */
const USUAL_HOSTS = ['h1', 'h1', 'h1', 'h2', 'h2', 'h2', 'h3'] as const;
/** Two networks of one tenant, one of another with the addresses of the first, and one of a third, which is a peer perhaps. */
const NETWORKS = ['red', 'blue', 'other', 'far'] as const;
const CIDRS: Readonly<Record<string, string>> = {
  ...{ red: '10.0.1.0/24', blue: '10.0.2.0/24' },
  ...{ other: '10.0.1.0/24', far: '10.0.3.0/24' },
};
const GROUPS = ['web', 'db', 'all'] as const;
const PORT_MACS = [1, 2, 3, 4, 5].map((n) => `02:00:00:00:00:0${n}`);
/** A MAC that addresses move by (VRRP). */
export const VIRTUAL_MAC = '00:00:5e:00:01:07';
export const PORT_NUMBERS = [53, 67, 68, 80, 1000, 1001, 2048] as const;
export const PROTOCOLS = [1, 6, 17, 132, 99] as const;
const MTUS = [1450, 1450, 576] as const;
const ICMP = 1;
/** Those that have ports. */
const WITH_PORTS: readonly number[] = [6, 17, 132];

function hostAddress(network: string, last: number): string {
  return (CIDRS[network] ?? '').replace('0/24', String(last));
}

export function drawCloud(draw: Draw): Cloud {
  const networks = NETWORKS.map((name) => drawNetwork(draw, name));
  const routers = drawRouters(draw, networks);
  return {
    networks,
    routers,
    peerings: drawPeerings(draw, routers),
    balancers: [],
    groups: GROUPS.map((name) => ({ name, rules: drawRules(draw) })),
    ports: drawPorts(draw),
    peers: draw.chance(0.9) ? HOSTS.slice(0, 2) : HOSTS.slice(0, 1),
  };
}

function drawNetwork(draw: Draw, name: string): Network {
  const gateway = draw.chance(0.85) ? { gateway: hostAddress(name, 1) } : {};
  return {
    name,
    mtuBytes: draw.pick(MTUS),
    snooped: draw.chance(0.6),
    subnets: [{ cidr: CIDRS[name] ?? '', dhcp: draw.chance(0.7), ...gateway }],
  };
}

function drawRouters(draw: Draw, networks: readonly Network[]): readonly Router[] {
  const routers: Router[] = [];
  if (draw.chance(0.85)) routers.push(drawRouter(draw, 'r1', networks.slice(0, draw.chance(0.85) ? 2 : 1)));
  if (draw.chance(0.4)) routers.push(drawRouter(draw, 'r2', networks.slice(2, 3)));
  if (draw.chance(0.5)) routers.push(drawRouter(draw, 'r3', networks.slice(3)));
  return routers;
}

/** Of the first tenant's router and the third's. */
function drawPeerings(draw: Draw, routers: readonly Router[]): readonly Peering[] {
  const has = (name: string): boolean => routers.some((router) => router.name === name);
  if (!has('r1') || !has('r3') || draw.chance(0.1)) return [];
  return [{ name: 'p1', router: 'r1', peer: 'r3', ...drawLetThrough(draw) }];
}

function drawLetThrough(draw: Draw): Pick<Peering, 'own' | 'theirs'> {
  return {
    own: draw.some(['red', 'blue'] as const, draw.pick([0, 1, 1, 2])),
    theirs: draw.chance(0.9) ? ['far'] : [],
  };
}

function drawRouter(draw: Draw, name: string, networks: readonly Network[]): Router {
  const legs = networks.map(({ name: network, subnets }, index): Leg => {
    const address = draw.chance(0.9) ? (subnets[0]?.gateway ?? hostAddress(network, 2)) : hostAddress(network, 2);
    return { network, cidr: CIDRS[network] ?? '', address, mac: `fa:16:3e:00:0${name[1]}:0${index + 1}` };
  });
  return { name, legs, routes: drawRoutes(draw, legs), policies: drawPolicies(draw, legs) };
}

const FAR_CIDRS = ['0.0.0.0/0', '10.9.0.0/16', '10.9.1.0/24', '10.9.1.7/32', '10.0.2.4/30', '10.0.3.4/31'] as const;

function drawRoutes(draw: Draw, legs: readonly Leg[]): readonly Route[] {
  return draw.some(FAR_CIDRS, draw.below(4)).map((cidr) => ({
    cidr,
    nextHop: hostAddress(draw.pick(legs).network, draw.pick([1, 4, 5, 6, 9])),
  }));
}

/** Seldom any; of these some that lead where no leg is. */
function drawPolicies(draw: Draw, legs: readonly Leg[]): readonly Policy[] {
  if (!draw.chance(0.4)) return [];
  return Array.from({ length: 1 + draw.below(4) }, (): Policy => {
    const action = draw.pick(['allow', 'drop', 'reroute'] as const);
    const protocol = draw.chance(0.5) ? draw.pick(PROTOCOLS) : undefined;
    const hop = draw.chance(0.9) ? hostAddress(draw.pick(legs).network, draw.pick([4, 5, 6, 9])) : '10.7.0.1';
    return {
      action,
      ...(draw.chance(0.4) ? { network: draw.pick(legs).network } : {}),
      ...(draw.chance(0.4) ? { from: draw.pick(POLICY_CIDRS) } : {}),
      ...(draw.chance(0.6) ? { to: draw.pick(POLICY_CIDRS) } : {}),
      ...(protocol === undefined ? {} : { protocol }),
      ...(protocol !== undefined && WITH_PORTS.includes(protocol) && draw.chance(0.5)
        ? { ports: draw.pick(RANGES) }
        : {}),
      ...(action === 'reroute' ? { nextHop: hop } : {}),
    };
  });
}

const POLICY_CIDRS = ['0.0.0.0/0', '10.0.1.0/24', '10.0.1.4/31', '10.0.2.0/24', '10.0.2.4/30', '10.9.1.0/24'] as const;

/** Addresses and MACs are each one port's in a network; in another they are another's. */
function drawPorts(draw: Draw): readonly Port[] {
  const red = drawPortsOf(draw, 'red', 2 + draw.below(2));
  const blue = drawPortsOf(draw, 'blue', draw.below(4));
  const other = draw.chance(0.5) ? red.map((port) => drawTwin(draw, port)) : drawPortsOf(draw, 'other', draw.below(4));
  const far = drawPortsOf(draw, 'far', draw.below(3));
  const ports = [...red, ...blue, ...other, ...far];
  const here = ports.filter(({ host }) => host === undefined);
  return here.length > 0 ? ports : ports.map((port, i) => (i === 0 ? { ...port, host: undefined } : port));
}

function drawPortsOf(draw: Draw, network: string, count: number): readonly Port[] {
  const macs = draw.some(PORT_MACS, PORT_MACS.length);
  const lasts = draw.some([4, 5, 6, 7, 8], 5);
  return Array.from({ length: count }, (_, i) => {
    const addresses = [hostAddress(network, lasts[i] ?? 0)];
    if (i === 0 && draw.chance(0.2)) addresses.push(hostAddress(network, lasts[4] ?? 0));
    return drawPort(draw, { network, mac: macs[i] ?? '', addresses, name: `${network}${i + 1}` });
  });
}

/** Another tenant's port with the same MAC and addresses. */
function drawTwin(draw: Draw, { name, mac, addresses }: Port): Port {
  return drawPort(draw, { network: 'other', mac, addresses, name: name.replace('red', 'other') });
}

function drawPort(draw: Draw, who: Pick<Port, 'name' | 'network' | 'mac' | 'addresses'>): Port {
  return {
    ...who,
    host: draw.chance(0.7) ? undefined : draw.pick(USUAL_HOSTS),
    kind: draw.chance(0.3) ? 'pod' : 'vm',
    adminUp: draw.chance(0.97),
    portSecurity: draw.chance(0.85),
    stateless: draw.chance(0.2),
    groups: draw.some(GROUPS, draw.pick([0, 1, 2, 2, 3])),
    pairs: draw.chance(0.3) ? [drawPair(draw, who)] : [],
    programmed: draw.chance(0.985),
  };
}

function drawPair(draw: Draw, { network, mac }: Pick<Port, 'network' | 'mac'>): Pair {
  const cidr = draw.pick([
    hostAddress(network, 9),
    hostAddress(network, 5),
    `${hostAddress(network, 8)}/30`,
    '10.9.1.0/24',
    '0.0.0.0/0',
  ]);
  return { mac: draw.pick([mac, VIRTUAL_MAC]), cidr };
}

function drawRules(draw: Draw): readonly Rule[] {
  const open: Rule[] = [];
  if (draw.chance(0.7)) open.push({ direction: 'egress' });
  if (draw.chance(0.06)) open.push({ direction: 'ingress' });
  return [...open, ...Array.from({ length: draw.below(4) }, () => drawRule(draw))];
}

function drawRule(draw: Draw): Rule {
  const direction = draw.chance(0.7) ? 'ingress' : 'egress';
  const protocol = draw.chance(0.85) ? draw.pick(PROTOCOLS) : undefined;
  const remote = draw.weighted({ any: 4, group: 4, cidr: 3 });
  return {
    direction,
    ...(protocol === undefined ? {} : { protocol }),
    ...(protocol !== undefined && WITH_PORTS.includes(protocol) && draw.chance(0.75)
      ? { portRange: draw.pick(RANGES) }
      : {}),
    ...(protocol === ICMP && draw.chance(0.6)
      ? { icmp: draw.pick([{ type: 8 }, { type: 8, code: 0 }, { type: 13 }, { type: 9 }]) }
      : {}),
    ...(remote === 'group' ? { remoteGroup: draw.pick(GROUPS) } : {}),
    ...(remote === 'cidr'
      ? {
          remoteCidr: draw.pick([
            '10.0.1.0/24',
            '10.0.1.4/31',
            '10.0.2.0/24',
            '10.0.0.0/8',
            '0.0.0.0/0',
            '10.0.1.5/32',
          ]),
        }
      : {}),
  };
}

/** Such that few prefixes make them: each is an entry of each class. */
const RANGES: readonly NonNullable<Rule['portRange']>[] = [
  ...PORT_NUMBERS.map((port) => ({ min: port, max: port })),
  ...[
    { min: 53, max: 68 },
    { min: 1000, max: 1001 },
    { min: 67, max: 80 },
    { min: 0, max: 1023 },
    { min: 1001, max: 1023 },
    { min: 1024, max: 65_535 },
    { min: 0, max: 65_535 },
  ],
];

/** Something that an API request or another host can bring about. */
export function drawChange(draw: Draw, cloud: Cloud): Change {
  const port = draw.pick(cloud.ports);
  const of = (to: Partial<Port>): Change => ({ of: 'port', name: port.name, to });
  switch (
    draw.weighted({
      rules: 6,
      groups: 3,
      admin: 2,
      security: 1,
      stateless: 1,
      pairs: 2,
      moves: 4,
      programmed: 1,
      routes: 2,
      mtu: 1,
      legs: 1,
      peers: 1,
      peering: 1,
    })
  ) {
    case 'rules':
      return changeRules(draw, draw.pick(cloud.groups));
    case 'groups':
      return of({ groups: draw.some(GROUPS, draw.below(3)) });
    case 'admin':
      return of({ adminUp: !port.adminUp });
    case 'security':
      return of({ portSecurity: !port.portSecurity });
    case 'stateless':
      return of({ stateless: !port.stateless });
    case 'pairs':
      return of({ pairs: port.pairs.length > 0 ? [] : [drawPair(draw, port)] });
    case 'moves':
      return of({
        host: port.host === undefined && hasCompany(cloud) ? draw.pick(HOSTS) : undefined,
        programmed: true,
      });
    case 'programmed':
      return of({ programmed: !port.programmed });
    case 'mtu':
      return { of: 'network', name: draw.pick(cloud.networks).name, to: { mtuBytes: draw.pick(MTUS) } };
    case 'peers':
      return { of: 'peers', to: draw.some(HOSTS, draw.below(3) + 1) };
    case 'peering':
      return changePeering(draw, cloud);
    default:
      return changeRouter(draw, cloud);
  }
}

/** Is another port here too? */
function hasCompany(cloud: Cloud): boolean {
  return cloud.ports.filter(({ host }) => host === undefined).length > 1;
}

function changeRules(draw: Draw, { name, rules }: Group): Change {
  const kept = rules.filter(() => draw.chance(0.6));
  return { of: 'group', name, to: { rules: draw.chance(0.5) ? [...kept, drawRule(draw)] : kept } };
}

function changePeering(draw: Draw, cloud: Cloud): Change {
  const [peering] = cloud.peerings;
  if (peering === undefined) return changeRouter(draw, cloud);
  return { of: 'peering', name: peering.name, to: drawLetThrough(draw) };
}

function changeRouter(draw: Draw, cloud: Cloud): Change {
  const router = cloud.routers.length > 0 ? draw.pick(cloud.routers) : undefined;
  if (router === undefined) return { of: 'peers', to: HOSTS.slice(0, 2) };
  const { name, legs } = router;
  if (legs.length > 1 && draw.chance(0.3)) return { of: 'router', name, to: { legs: legs.slice(0, 1) } };
  if (draw.chance(0.5)) return { of: 'router', name, to: { policies: drawPolicies(draw, legs) } };
  return { of: 'router', name, to: { routes: drawRoutes(draw, legs) } };
}

/** Addresses that packets go to and claim to be from. */
export function addressesIn(cloud: Cloud): readonly string[] {
  const ports = cloud.ports.flatMap(({ addresses }) => addresses);
  const legs = cloud.routers.flatMap((router) => router.legs.map(({ address }) => address));
  return [...ports, ...ports, ...legs, '10.0.1.1', '10.0.1.9', '10.9.1.7', '10.9.2.2', '8.8.8.8', METADATA_ADDRESS];
}
