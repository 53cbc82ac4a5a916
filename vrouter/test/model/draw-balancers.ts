/** Draws load balancers, and how they change. */
import type { Change } from './case.ts';
import type { Balancer, Cloud, Listener, Member, Pool } from './cloud.ts';
import type { Draw } from './draw.ts';
import { drawChange } from './draw-cloud.ts';

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const MEMBER_PORTS = [80, 80, 53, 1000, 1001] as const;
const WEIGHTS = [1, 1, 1, 5, 0] as const;
const VIRTUAL = { last: 50, mac: '02:00:00:00:50:01' } as const;
/** What its listeners are at, and for which protocol. */
const LISTENERS = [
  { protocol: TCP, port: 80 },
  { protocol: TCP, port: 1000 },
  { protocol: UDP, port: 53 },
  { protocol: UDP, port: 80 },
  { protocol: SCTP, port: 1000 },
] as const;
const NAMES = 1_000_000;

/** In the first tenant's first network, and perhaps others; that of the other tenant has the same address. */
export function drawBalancers(draw: Draw, cloud: Cloud): readonly Balancer[] {
  const networks = ['red', ...['blue', 'other', 'far'].filter(() => draw.chance(0.25))];
  return networks.map((network) => drawBalancer(draw, cloud, network));
}

/** The virtual address of a network. */
export function virtualAddress({ networks }: Cloud, network: string): string {
  const cidr = networks.find(({ name }) => name === network)?.subnets[0]?.cidr ?? '';
  return cidr.replace('0/24', String(VIRTUAL.last));
}

function drawBalancer(draw: Draw, cloud: Cloud, network: string): Balancer {
  const pools = draw.some(LISTENERS, 1 + draw.below(3)).map((at) => drawPool(draw, cloud, network, at.protocol));
  return {
    ...{ name: `balancer in ${network}`, network, address: virtualAddress(cloud, network), mac: VIRTUAL.mac, pools },
    listeners: drawListeners(draw, pools),
  };
}

/** One at the usual place of each pool, and perhaps others. */
function drawListeners(draw: Draw, pools: readonly Pool[]): readonly Listener[] {
  const listeners = pools.flatMap(({ name, protocol }) => {
    const places = LISTENERS.filter((one) => one.protocol === protocol);
    return draw.some(places, draw.chance(0.2) ? 2 : 1).map(({ port }) => ({ port, pool: name, protocol }));
  });
  const isFirst = (one: (typeof listeners)[number], at: number): boolean =>
    listeners.findIndex(({ port, protocol }) => port === one.port && protocol === one.protocol) === at;
  return listeners.filter(isFirst).map(({ port, pool }) => ({ port, pool }));
}

function drawPool(draw: Draw, cloud: Cloud, network: string, protocol: number): Pool {
  const places = draw.some(placesNear(draw, cloud, network), draw.pick([1, 1, 2, 2, 2, 3, 0]));
  return {
    ...{ name: `pool ${draw.below(NAMES)}`, protocol, affinity: draw.chance(0.4) },
    members: places.map((place) => drawMember(draw, place, protocol)),
  };
}

type Place = Pick<Member, 'network' | 'address'>;

function drawMember(draw: Draw, place: Place, protocol: number): Member {
  return {
    ...{ name: `member ${draw.below(NAMES)}`, ...place, weight: draw.pick(WEIGHTS), isDown: draw.chance(0.1) },
    port: protocol === SCTP && draw.chance(0.8) ? 1000 : draw.pick(MEMBER_PORTS),
  };
}

/** Mostly in the same network, or in one that a router joins to it; seldom where nobody is. */
function placesNear(draw: Draw, { ports, routers }: Cloud, network: string): readonly Place[] {
  const joined = routers.filter(({ legs }) => legs.some((leg) => leg.network === network));
  const near = [network, ...joined.flatMap(({ legs }) => legs.map((leg) => leg.network))];
  const isNear = draw.chance(0.95) ? (name: string): boolean => near.includes(name) : (): boolean => true;
  const places = ports
    .filter((port) => isNear(port.network))
    .flatMap(({ network: there, addresses }) => addresses.map((address) => ({ network: there, address })));
  return draw.chance(0.05) ? [...places, { network, address: '10.0.1.77' }] : places;
}

export function drawBalancerChange(draw: Draw, cloud: Cloud): Change {
  if (cloud.balancers.length === 0) return drawChange(draw, cloud);
  const balancer = draw.pick(cloud.balancers);
  const { name, pools, network } = balancer;
  const of = (to: Partial<Balancer>): Change => ({ of: 'balancer', name, to });
  if (pools.length === 0 || draw.chance(0.15)) return of(drawBalancer(draw, cloud, network));
  const at = draw.below(pools.length);
  const pool = pools[at];
  if (pool === undefined || draw.chance(0.15)) return of({ listeners: drawListeners(draw, pools) });
  return of({ pools: pools.with(at, changedPool(draw, cloud, network, pool)) });
}

function changedPool(draw: Draw, cloud: Cloud, network: string, pool: Pool): Pool {
  const { members, protocol } = pool;
  const at = draw.below(members.length);
  const changed = (to: Partial<Member>): Pool => ({
    ...pool,
    members: members.map((member, place) => (place === at ? { ...member, ...to } : member)),
  });
  switch (draw.weighted({ health: 4, weight: 3, gone: 2, more: 2, affinity: 1 })) {
    case 'health':
      return changed({ isDown: members[at]?.isDown !== true });
    case 'weight':
      return changed({ weight: members[at]?.weight === 0 ? 1 : draw.pick([0, 0, 5]) });
    case 'gone':
      return { ...pool, members: members.filter((_, place) => place !== at) };
    case 'more': {
      const free = placesNear(draw, cloud, network).filter(
        ({ address, network: there }) => !members.some((one) => one.address === address && one.network === there),
      );
      return free.length === 0 ? pool : { ...pool, members: [...members, drawMember(draw, draw.pick(free), protocol)] };
    }
    case 'affinity':
      return { ...pool, affinity: !pool.affinity };
  }
}
