/** A case: a cloud, and what happens in it one after the other. */
import type { Balancer, Cloud, Group, Network, Peering, Port, Router } from './cloud.ts';
import type { Packet } from './packets.ts';
import type { Reply } from './replies.ts';
import type { Tunnel } from './vrouter.ts';

export type Change =
  | { readonly of: 'port'; readonly name: string; readonly to: Partial<Port> }
  | { readonly of: 'group'; readonly name: string; readonly to: Partial<Group> }
  | { readonly of: 'router'; readonly name: string; readonly to: Partial<Router> }
  | { readonly of: 'peering'; readonly name: string; readonly to: Partial<Peering> }
  | { readonly of: 'balancer'; readonly name: string; readonly to: Partial<Balancer> }
  | { readonly of: 'network'; readonly name: string; readonly to: Partial<Network> }
  | { readonly of: 'peers'; readonly to: readonly string[] };

export type PacketStep =
  | { readonly kind: 'send'; readonly port: string; readonly packet: Packet }
  | { readonly kind: 'receive'; readonly tunnel: Tunnel; readonly packet: Packet }
  /** The agent answers the port; the packet's own ends do not count. */
  | { readonly kind: 'serve'; readonly port: string; readonly packet: Packet }
  /** The uplink receives it, of a network outside. */
  | { readonly kind: 'arrive'; readonly network: string; readonly packet: Packet };

/** A name by which replies know the packet of a step. */
type Labelled = { readonly label?: number };

/** Whoever has got the packet `to` answers it, if anybody has. */
export type ReplyStep = { readonly kind: 'reply'; readonly to: number; readonly reply: Reply };

export type Step =
  | (PacketStep & Labelled)
  | (ReplyStep & Labelled)
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'change'; readonly change: Change };

export type Case = { readonly cloud: Cloud; readonly steps: readonly Step[] };

export function changed(cloud: Cloud, change: Change): Cloud {
  switch (change.of) {
    case 'port':
      return { ...cloud, ports: patched(cloud.ports, change.name, change.to) };
    case 'group':
      return { ...cloud, groups: patched(cloud.groups, change.name, change.to) };
    case 'router':
      return { ...cloud, routers: patched(cloud.routers, change.name, change.to) };
    case 'peering':
      return { ...cloud, peerings: patched(cloud.peerings, change.name, change.to) };
    case 'balancer':
      return { ...cloud, balancers: patched(cloud.balancers, change.name, change.to) };
    case 'network':
      return { ...cloud, networks: patched(cloud.networks, change.name, change.to) };
    case 'peers':
      return { ...cloud, peers: change.to };
  }
}

function patched<T extends { readonly name: string }>(
  all: readonly T[],
  name: string,
  patch: Partial<T>,
): readonly T[] {
  return all.map((one) => (one.name === name ? { ...one, ...patch } : one));
}

/** Does everything that the case names exist, so that it can be run? */
export function isSound({ cloud, steps }: Case): boolean {
  const networks = new Set(cloud.networks.map(({ name }) => name));
  const ports = new Set(cloud.ports.map(({ name }) => name));
  let now = cloud;
  return (
    isWhole(cloud) &&
    steps.every((step) => {
      if (step.kind === 'change') {
        now = changed(now, step.change);
        return isWhole(now);
      }
      if (step.kind === 'send' || step.kind === 'serve') return ports.has(step.port);
      if (step.kind === 'arrive') return networks.has(step.network);
      return step.kind !== 'receive' || step.tunnel.network === undefined || networks.has(step.tunnel.network);
    }) &&
    repliesAreSound(steps)
  );
}

function isWhole({ networks, ports, routers, balancers }: Cloud): boolean {
  const interfaces = routers.flatMap(({ legs, gateway }) => (gateway === undefined ? legs : [...legs, gateway]));
  const members = balancers.flatMap(({ pools }) => pools.flatMap((pool) => pool.members));
  return (
    networks.every(({ subnets }) => subnets.length > 0) &&
    ports.every(({ addresses }) => addresses.length > 0) &&
    [...ports, ...interfaces, ...balancers, ...members].every(({ network }) =>
      networks.some(({ name }) => name === network),
    )
  );
}

/** Each is to a packet before it. */
function repliesAreSound(steps: readonly Step[]): boolean {
  const labels = new Set<number>();
  return steps.every((step) => {
    if (step.kind === 'reply' && !labels.has(step.to)) return false;
    if ('label' in step && step.label !== undefined) labels.add(step.label);
    return true;
  });
}

/** A case for a person to read. */
export function caseText({ cloud, steps }: Case): string {
  const lines = [
    ...cloud.networks.map((one) => `network ${plain(one)}`),
    ...cloud.routers.map((one) => `router ${plain(one)}`),
    ...cloud.peerings.map((one) => `peering ${plain(one)}`),
    ...cloud.balancers.map((one) => `load balancer ${plain(one)}`),
    ...cloud.groups.map((one) => `group ${plain(one)}`),
    ...cloud.ports.map((one) => `port ${plain(one)}`),
    `peers ${cloud.peers.join(' ') || 'none'}`,
    '',
    ...steps.map((step, i) => `${i + 1}. ${stepText(step)}`),
  ];
  return lines.join('\n');
}

export function stepText(step: Step): string {
  const label = 'label' in step && step.label !== undefined ? ` (packet ${step.label})` : '';
  return `${eventText(step)}${label}`;
}

function eventText(step: Step): string {
  switch (step.kind) {
    case 'arrive':
      return `from outside, in ${step.network}, arrives ${plain(step.packet)}`;
    case 'reply':
      return `whoever got packet ${step.to} replies with ${plain(step.reply)}`;
    case 'send':
      return `port ${step.port} sends ${plain(step.packet)}`;
    case 'receive': {
      const { network = 'no network of this host', from = 'nobody, through no tunnel' } = step.tunnel;
      return `in ${network} arrives from ${from}: ${plain(step.packet)}`;
    }
    case 'serve':
      return `the agent answers port ${step.port} with ${plain(step.packet)}`;
    case 'wait':
      return `${step.seconds} seconds go by`;
    case 'change':
      return `${step.change.of} ${'name' in step.change ? step.change.name : ''} becomes ${plain(step.change.to)}`;
  }
}

/** A value as text, without the quotes of JSON. */
function plain(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(plain).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const parts = Object.entries(value).filter(([, part]) => part !== undefined);
  return `{${parts.map(([key, part]) => `${key}: ${plain(part)}`).join(', ')}}`;
}
