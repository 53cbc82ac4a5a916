/**
 * What must hold of every packet, whatever the model says: nothing passes from a source that is not its port's own, and nothing crosses from
 * one tenant to another. Read from the bytes alone.
 */
import type { PacketStep } from './case.ts';
import { type Cloud, type Port, portNamed } from './cloud.ts';
import type { Outcome } from './outcome.ts';

/** What does not hold, in words; undefined: all does. */
export function brokenInvariant(cloud: Cloud, step: PacketStep, frame: Buffer, outcome: Outcome): string | undefined {
  if (outcome.kind === 'drop' || outcome.kind === 'wait') return undefined;
  switch (step.kind) {
    case 'send':
      return brokenBySender(cloud, step.port, frame, outcome);
    case 'receive':
      return brokenByHost(cloud, step.tunnel, outcome);
    case 'serve':
      return outcome.kind === 'port' && outcome.port === step.port
        ? undefined
        : `an answer for ${step.port} went elsewhere`;
  }
}

type Passed = Exclude<Outcome, { kind: 'drop' | 'wait' }>;

function brokenBySender(cloud: Cloud, name: string, frame: Buffer, outcome: Passed): string | undefined {
  const port = portNamed(cloud, name);
  if (port === undefined || port.host !== undefined) return `port ${name} is not here, and what it sent passed`;
  if (port.portSecurity && !isOwnSource(port, frame, outcome.kind === 'agent'))
    return `a source that is not ${name}'s passed`;
  if (outcome.kind === 'agent') return outcome.port === name ? undefined : `the agent took ${name} for ${outcome.port}`;
  const network = networkOf(cloud, outcome);
  if (network === undefined || reachOf(cloud, port.network).has(network)) return undefined;
  return `from network ${port.network} it came to ${network}, to which no router leads`;
}

function brokenByHost(
  cloud: Cloud,
  { network, from }: Extract<PacketStep, { kind: 'receive' }>['tunnel'],
  outcome: Passed,
): string | undefined {
  if (from === undefined || !cloud.peers.includes(from)) return 'what is from no peer passed';
  if (outcome.kind === 'agent' || outcome.kind === 'host') return 'what is from another host went on';
  const to = networkOf(cloud, outcome);
  return to === undefined || to === network ? undefined : `from network ${network} it came to ${to}`;
}

/** Of copies undefined: a network's own list says to whom they go. */
function networkOf(cloud: Cloud, outcome: Passed): string | undefined {
  if (outcome.kind === 'host') return outcome.network;
  return outcome.kind === 'port' ? portNamed(cloud, outcome.port)?.network : undefined;
}

function reachOf(cloud: Cloud, network: string): ReadonlySet<string> {
  const joined = cloud.routers.filter(({ legs }) => legs.some((leg) => leg.network === network));
  // By a peering from what one side lets through to what the other does, and nothing else.
  const peered = cloud.peerings.flatMap(({ own, theirs }) => [
    ...(own.includes(network) ? theirs : []),
    ...(theirs.includes(network) ? own : []),
  ]);
  return new Set([network, ...joined.flatMap(({ legs }) => legs.map((leg) => leg.network)), ...peered]);
}

const ARP = 0x0806;
const IPV4 = 0x0800;
/** Offsets in the frame. */
const ARP_SENDER_MAC = 22;
const ARP_SENDER_IP = 28;
const IP_SOURCE = 26;

/** `toAgent`: by DHCP a port asks before it has an address, and after it has lost it. */
function isOwnSource(port: Port, frame: Buffer, toAgent: boolean): boolean {
  const mac = frame.toString('hex', 6, 12);
  const own = mac === plainMac(port.mac);
  switch (frame.readUInt16BE(12)) {
    case ARP: {
      const sender = frame.readUInt32BE(ARP_SENDER_IP);
      if (frame.toString('hex', ARP_SENDER_MAC, ARP_SENDER_MAC + 6) !== mac) return false;
      return (own && sender === 0) || mayUse(port, mac, sender);
    }
    case IPV4:
      return (own && (toAgent || isFromNobodyToAll(frame))) || mayUse(port, mac, frame.readUInt32BE(IP_SOURCE));
    default:
      return false;
  }
}

/** Of DHCP's first question, which another guest may answer where the agent does not. */
function isFromNobodyToAll(frame: Buffer): boolean {
  return frame.readUInt32BE(IP_SOURCE) === 0 && frame.readUInt32BE(IP_SOURCE + 4) === 0xffffffff;
}

function mayUse(port: Port, mac: string, address: number): boolean {
  const fixed = port.addresses.map((one) => ({ mac: port.mac, cidr: one }));
  return [...fixed, ...port.pairs].some((pair) => {
    const [base = '', length = '32'] = pair.cidr.split('/');
    const step = 2 ** (32 - Number(length));
    const first = Buffer.from(base.split('.').map(Number)).readUInt32BE();
    return plainMac(pair.mac) === mac && Math.floor(first / step) === Math.floor(address / step);
  });
}

function plainMac(mac: string): string {
  return mac.replaceAll(':', '');
}
