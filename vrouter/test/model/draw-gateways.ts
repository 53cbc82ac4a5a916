/** Draws clouds whose routers lead outside, and how their gateways change. */
import type { Change } from './case.ts';
import type { Cloud, FloatingIp, Forward, Gateway, Network, Port, Range, Router, Rule } from './cloud.ts';
import type { Draw } from './draw.ts';
import { drawChange, drawCloud } from './draw-cloud.ts';

const CIDR = '203.0.113.0/24';
/** An address of the network outside. */
export const at = (last: number): string => `203.0.113.${last}`;
export const NEXT_HOP = { address: at(1), mac: '02:00:00:00:ee:01' } as const;
/** Machines on the network outside, and farther away. */
export const MACHINES = [
  { address: at(77), mac: '02:00:00:00:ee:02' },
  { address: at(78), mac: '02:00:00:00:ee:03' },
] as const;
export const FAR = ['198.51.100.7', '198.51.100.8'] as const;
export const FLOATING: readonly string[] = [10, 11, 12, 13].map(at);
export const FORWARDED: string = at(20);
const RANGES: readonly (Range | undefined)[] = [
  { min: 1024, max: 65_535 },
  { min: 1024, max: 65_535 },
  { min: 2048, max: 2055 },
  { min: 2048, max: 2063 },
  { min: 2048, max: 2054 },
];
/** Protocols with ports, and a range of one or of eight. */
const FORWARDED_PORTS: readonly Pick<Forward, 'protocol' | 'ports' | 'toFirst'>[] = [
  { protocol: 6, ports: { min: 8080, max: 8080 }, toFirst: 80 },
  { protocol: 17, ports: { min: 6000, max: 6007 }, toFirst: 996 },
  { protocol: 17, ports: { min: 53, max: 53 }, toFirst: 53 },
  { protocol: 132, ports: { min: 80, max: 80 }, toFirst: 80 },
  { protocol: 132, ports: { min: 1000, max: 1000 }, toFirst: 1001 },
];

export function drawCloudOutside(draw: Draw): Cloud {
  for (;;) {
    const cloud = drawCloud(draw);
    if (cloud.routers.length === 0) continue;
    const outside: Network = {
      name: 'outside',
      mtuBytes: 1500,
      snooped: false,
      subnets: [{ cidr: CIDR, dhcp: false }],
      outside: draw.chance(0.7) ? { tag: 77 } : {},
    };
    const routers = cloud.routers.map((router, index) => drawRouter(draw, cloud, router, index));
    const ports = cloud.ports.map((port) => drawnNearer(draw, port));
    const groups = cloud.groups.map((group, index) => ({
      ...group,
      rules: [...group.rules, ...openRules(draw, index)],
    }));
    return { ...cloud, networks: [...cloud.networks, outside], routers, ports, groups };
  }
}

/** Most are here, and in some group: what others refuse is drawn enough elsewhere. */
export function drawnNearer(draw: Draw, port: Port): Port {
  const here = draw.chance(0.85) ? undefined : port.host;
  return { ...port, host: here, groups: port.groups.length > 0 || draw.chance(0.2) ? port.groups : ['web'] };
}

export function openRules(draw: Draw, index: number): readonly Rule[] {
  const egress: Rule[] = draw.chance(0.8) ? [{ direction: 'egress' }] : [];
  return index === 0 ? [...egress, { direction: 'ingress' }] : egress;
}

/** Only the first may be one that hides nobody: the addresses behind it are then known outside. */
function drawRouter(draw: Draw, cloud: Cloud, router: Router, index: number): Router {
  const routes = router.routes.filter(({ cidr }) => cidr !== '0.0.0.0/0');
  return { ...router, routes, policies: [], gateway: drawGateway(draw, cloud, router, index) };
}

function drawGateway(draw: Draw, cloud: Cloud, router: Router, index: number): Gateway {
  const snat = index === 0 && draw.chance(0.2) ? undefined : draw.pick(RANGES);
  return {
    ...{ network: 'outside', cidr: CIDR, nextHop: NEXT_HOP.address },
    ...{ address: at(2 + index), mac: `fa:16:3e:00:ee:0${index + 1}` },
    ...(snat === undefined ? {} : { snat }),
    floatingIps: drawFloatingIps(draw, cloud, router, index),
    forwards: index === 0 ? drawForwards(draw, cloud, router) : [],
  };
}

/** Each address of a port has one at most. */
function drawFloatingIps(draw: Draw, cloud: Cloud, router: Router, index: number): readonly FloatingIp[] {
  const fixed = draw.some(fixedAddresses(cloud, router), 2);
  const addresses = index === 0 ? FLOATING.slice(0, 2) : FLOATING.slice(index + 1, index + 2);
  const count = draw.below(addresses.length + 1);
  return addresses.slice(0, count).flatMap((address, i): readonly FloatingIp[] => {
    const to = fixed[i];
    return to === undefined ? [] : [{ address, ...to }];
  });
}

/** The same addresses, of others. */
function movedFloatingIps(draw: Draw, cloud: Cloud, router: Router, now: readonly FloatingIp[]): readonly FloatingIp[] {
  const fixed = draw.some(fixedAddresses(cloud, router), now.length);
  return now.flatMap((one, i) => (fixed[i] === undefined ? [] : [{ ...one, ...fixed[i] }]));
}

function drawForwards(draw: Draw, cloud: Cloud, router: Router): readonly Forward[] {
  const fixed = fixedAddresses(cloud, router);
  if (fixed.length === 0) return [];
  const address = draw.chance(0.7) ? FORWARDED : at(2);
  return draw.some(FORWARDED_PORTS, draw.below(4)).map((ports) => ({ ...ports, ...draw.pick(fixed), address }));
}

function fixedAddresses(cloud: Cloud, { legs }: Router): readonly Pick<FloatingIp, 'port' | 'fixed'>[] {
  const behind = cloud.ports.filter(({ network }) => legs.some((leg) => leg.network === network));
  return behind.flatMap(({ name, addresses }) => addresses.map((fixed) => ({ port: name, fixed })));
}

/** Changes of routers draw their own routes and policies, which know nothing of gateways. */
export function isLeftOut(change: Change): boolean {
  return (
    (change.of === 'router' && ('routes' in change.to || 'policies' in change.to)) ||
    (change.of === 'network' && change.name === 'outside')
  );
}

export function drawGatewayChange(draw: Draw, cloud: Cloud): Change {
  const index = draw.below(cloud.routers.length);
  const router = cloud.routers[index];
  const gateway = router?.gateway;
  if (router === undefined || gateway === undefined) return drawChange(draw, cloud);
  const { floatingIps, forwards, snat: _, ...rest } = drawGateway(draw, cloud, router, index);
  const moved = draw.chance(0.5) ? floatingIps : movedFloatingIps(draw, cloud, router, gateway.floatingIps);
  const kept = { floatingIps: gateway.floatingIps, forwards: gateway.forwards };
  const snat = gateway.snat === undefined ? {} : { snat: gateway.snat };
  const to: Gateway =
    draw.weighted({ floating: 4, forwards: 2, snat: 1 }) === 'snat'
      ? drawGatewaySnat(draw, rest, kept, index)
      : { ...rest, ...snat, ...kept, ...(draw.chance(0.6) ? { floatingIps: moved } : { forwards }) };
  return { of: 'router', name: router.name, to: { gateway: to } };
}

function drawGatewaySnat(
  draw: Draw,
  rest: Omit<Gateway, 'snat' | 'floatingIps' | 'forwards'>,
  kept: Pick<Gateway, 'floatingIps' | 'forwards'>,
  index: number,
): Gateway {
  const snat = index === 0 && draw.chance(0.3) ? undefined : draw.pick(RANGES);
  return { ...rest, ...kept, ...(snat === undefined ? {} : { snat }) };
}
