/**
 * What a packet to a virtual address becomes (docs/design/load-balancer.md): one to a member of the pool behind its port. A connection keeps its member as long as that is
 * one of the pool's.
 */
import type { Balancer, Cloud, Member, Pool, Router } from './cloud.ts';
import type { Passage } from './gateways.ts';
import type { Tuple } from './headers.ts';

const UDP = 17;
const SCTP = 132;
/** Ports with which a member comes to itself. */
const ITSELF = { min: 1024, max: 65_535 };

/** Of the members to which a new connection may go, the one to which it goes. */
export type Choose = (pool: Pool, among: readonly Member[]) => Member;

export type Balanced =
  | { readonly kind: 'drop'; readonly reason: 'no_member' | 'nat_gone' }
  | { readonly kind: 'on'; readonly member: Member; readonly passage: Passage };

const drop = (reason: 'no_member' | 'nat_gone'): Balanced => ({ kind: 'drop', reason });

/** The packet has come to its destination, a virtual address of `network`. `from`: the network that it comes from. */
export function balance(cloud: Cloud, network: string, passage: Passage, from: string, choose: Choose): Balanced {
  const { tuple, known } = passage;
  const pool = poolBehind(cloud, network, tuple);
  if (pool === undefined) return drop(known === undefined ? 'no_member' : 'nat_gone');
  if (known !== undefined) {
    const member = pool.members.find(({ name }) => name === known.member);
    if (member === undefined || !isAt(member, known.becomes.to, known.becomes.dport) || isCutOff(pool, member))
      return drop('nat_gone');
    const comesToItself = known.becomes.from === tuple.to;
    return { kind: 'on', member, passage: { ...passage, hasEntered: true, hasLeft: passage.hasLeft || comesToItself } };
  }
  const among = pool.members.filter(({ weight, isDown }) => weight > 0 && !isDown);
  if (among.length === 0) return drop('no_member');
  const member = choose(pool, among);
  // Its checksum covers the ports, and all of the packet.
  if (tuple.protocol === SCTP && member.port !== tuple.dport) return drop('no_member');
  const becomes = { ...passage.becomes, to: member.address, dport: member.port };
  const entered: Passage = { ...passage, becomes, hasEntered: true, member: member.name };
  const isItself = member.network === from && member.address === tuple.from;
  const passed = isItself ? asVirtual(entered, tuple.to) : entered;
  // Another's equal address: no two ends could be told apart.
  return passed.becomes.from === passed.becomes.to ? drop('no_member') : { kind: 'on', member, passage: passed };
}

/** Its own address would be the sender's as well: it sees the virtual one. */
function asVirtual(passage: Passage, address: string): Passage {
  return { ...passage, becomes: { ...passage.becomes, from: address }, hasLeft: true, choice: { among: ITSELF } };
}

/** Datagrams do not say that their exchange is over: a client that goes on from one port would stay with who is dead. */
function isCutOff({ protocol }: Pool, { isDown }: Member): boolean {
  return protocol === UDP && isDown;
}

function isAt(member: Member, address: string, port: number): boolean {
  return member.address === address && member.port === port;
}

function poolBehind(cloud: Cloud, network: string, { protocol, to, dport }: Tuple): Pool | undefined {
  const balancer = balancerAt(cloud, network, to);
  return balancer?.listeners
    .filter(({ port }) => port === dport)
    .flatMap(({ pool }) => balancer.pools.filter((one) => one.name === pool && one.protocol === protocol))[0];
}

/** Whose virtual address it is. */
export function balancerAt({ balancers }: Cloud, network: string, address: string): Balancer | undefined {
  return balancers.find((one) => one.network === network && one.address === address);
}

/** Is the packet an answer of a member that is none any more? Its sender must be it. */
export function isLeftOverAnswer({ balancers }: Cloud, { tuple, known }: Pick<Passage, 'tuple' | 'known'>): boolean {
  if (known?.member === undefined || known.direction === 'first') return false;
  const members = balancers.flatMap(({ pools }) => pools.flatMap((pool) => pool.members));
  return !members.some((one) => one.name === known.member && isAt(one, tuple.from, tuple.sport));
}

/** The router by which a virtual address of one network leads to a member in another: the first that joins them. */
export function routerBetween({ routers }: Cloud, network: string, other: string): Router | undefined {
  const joins = ({ legs }: Router, name: string): boolean => legs.some((leg) => leg.network === name);
  return routers.find((router) => joins(router, network) && joins(router, other));
}
