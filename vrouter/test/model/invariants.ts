/**
 * What must hold of every packet, whatever the model says: nothing passes from a source that is not its port's own, and nothing crosses from
 * one tenant to another. Read from the bytes alone.
 */
import type { PacketStep } from './case.ts';
import { type Cloud, type Gateway, type Port, portNamed } from './cloud.ts';
import type { Outcome } from './outcome.ts';

/** What does not hold, in words; undefined: all does. */
export function brokenInvariant(cloud: Cloud, step: PacketStep, frame: Buffer, outcome: Outcome): string | undefined {
  if (outcome.kind === 'drop' || outcome.kind === 'wait' || outcome.kind === 'pass') return undefined;
  switch (step.kind) {
    case 'send':
      return brokenBySender(cloud, step.port, frame, outcome);
    case 'receive':
      return brokenByHost(cloud, step.tunnel, outcome);
    case 'serve':
      return outcome.kind === 'port' && outcome.port === step.port
        ? undefined
        : `an answer for ${step.port} went elsewhere`;
    case 'arrive':
      return brokenFromOutside(cloud, step.network, frame, outcome);
  }
}

type Passed = Exclude<Outcome, { kind: 'drop' | 'wait' | 'pass' }>;

function brokenBySender(cloud: Cloud, name: string, frame: Buffer, outcome: Passed): string | undefined {
  const port = portNamed(cloud, name);
  if (port === undefined || port.host !== undefined) return `port ${name} is not here, and what it sent passed`;
  if (port.portSecurity && !isOwnSource(port, frame, outcome.kind === 'agent'))
    return `a source that is not ${name}'s passed`;
  if (outcome.kind === 'agent') return outcome.port === name ? undefined : `the agent took ${name} for ${outcome.port}`;
  if (outcome.kind === 'wire') return brokenToOutside(cloud, port, outcome);
  const network = networkOf(cloud, outcome);
  // An address that a port without port security took may be one of another host's.
  const isHereOrThere = outcome.kind === 'port' || outcome.kind === 'host';
  if (isHereOrThere && isForOutside(cloud, port.network, frame)) return undefined;
  if (network === undefined || reachOf(cloud, port.network).has(network)) return undefined;
  return `from network ${port.network} it came to ${network}, to which no router leads`;
}

function brokenByHost(
  cloud: Cloud,
  { network, from }: Extract<PacketStep, { kind: 'receive' }>['tunnel'],
  outcome: Passed,
): string | undefined {
  if (from === undefined || !cloud.peers.includes(from)) return 'what is from no peer passed';
  if (outcome.kind === 'agent' || outcome.kind === 'host' || outcome.kind === 'wire')
    return 'what is from another host went on';
  const to = networkOf(cloud, outcome);
  return to === undefined || to === network ? undefined : `from network ${network} it came to ${to}`;
}

/** Only by a router's MAC, and with an address that the port may have there. */
function brokenToOutside(
  cloud: Cloud,
  port: Port,
  { network, frame }: Extract<Passed, { kind: 'wire' }>,
): string | undefined {
  const gateways = gatewaysFrom(cloud, port.network).filter((one) => one.network === network);
  const mac = frame.toString('hex', 6, 12);
  const gateway = gateways.find((one) => plainMac(one.mac) === mac);
  if (gateway === undefined) return `it left for ${network} by no router of ${port.network}`;
  const address = frame
    .subarray(frame.readUInt16BE(12) === ARP ? ARP_SENDER_IP : IP_SOURCE)
    .subarray(0, 4)
    .join('.');
  if (mayHaveOutside(cloud, gateway, port, address)) return undefined;
  const own = gateway.snat === undefined && (!port.portSecurity || mayUse(port, undefined, addressNumber(address)));
  return own ? undefined : `it left for ${network} with the address ${address}`;
}

function mayHaveOutside(cloud: Cloud, gateway: Gateway, port: Port, address: string): boolean {
  if (address === gateway.address) return true;
  const all = cloud.routers
    .flatMap((router) => router.gateway ?? [])
    .filter(({ network }) => network === gateway.network);
  return all
    .flatMap(({ floatingIps, forwards }) => [...floatingIps, ...forwards])
    .some((one) => one.address === address && one.port === port.name);
}

/** To a port only through a router that has a gateway there, by an address of ours; or, if that does not hide it, by its own. */
function brokenFromOutside(cloud: Cloud, network: string, frame: Buffer, outcome: Passed): string | undefined {
  if (outcome.kind === 'copies') return outcome.count === 0 ? undefined : 'a group outside was heard within';
  if (outcome.kind === 'wire') {
    const back = outcome.network === network && outcome.frame.toString('hex', 0, 6) === frame.toString('hex', 6, 12);
    return back ? undefined : 'what came from outside went there';
  }
  if (outcome.kind !== 'port') return undefined;
  const port = portNamed(cloud, outcome.port);
  const gateways = port === undefined ? [] : gatewaysFrom(cloud, port.network).filter((one) => one.network === network);
  if (gateways.length === 0) return `from outside it came to ${outcome.port}, to which no router leads`;
  const isOurs = isOursOutside(cloud, network, frame);
  return isOurs || gateways.some(({ snat }) => snat === undefined) ? undefined : 'it came by an address that is hidden';
}

/** Is it sent to an address outside of a router that the network's leads to? */
function isForOutside(cloud: Cloud, network: string, frame: Buffer): boolean {
  return gatewaysFrom(cloud, network).some((gateway) => isOursOutside(cloud, gateway.network, frame));
}

function isOursOutside(cloud: Cloud, network: string, frame: Buffer): boolean {
  const to = frame.subarray(IP_SOURCE + 4, IP_SOURCE + 8).join('.');
  const gateways = cloud.routers.flatMap(({ gateway }) => (gateway?.network === network ? [gateway] : []));
  return gateways.some(
    ({ address, floatingIps, forwards }) =>
      address === to || [...floatingIps, ...forwards].some((one) => one.address === to),
  );
}

function gatewaysFrom(cloud: Cloud, network: string): readonly Gateway[] {
  return cloud.routers.flatMap(({ legs, gateway }) =>
    gateway !== undefined && legs.some((leg) => leg.network === network) ? [gateway] : [],
  );
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

function addressNumber(address: string): number {
  return Buffer.from(address.split('.').map(Number)).readUInt32BE();
}

/** `mac` undefined: any. */
function mayUse(port: Port, mac: string | undefined, address: number): boolean {
  const fixed = port.addresses.map((one) => ({ mac: port.mac, cidr: one }));
  return [...fixed, ...port.pairs].some((pair) => {
    const [base = '', length = '32'] = pair.cidr.split('/');
    const step = 2 ** (32 - Number(length));
    const first = addressNumber(base);
    return (mac === undefined || plainMac(pair.mac) === mac) && Math.floor(first / step) === Math.floor(address / step);
  });
}

function plainMac(mac: string): string {
  return mac.replaceAll(':', '');
}
