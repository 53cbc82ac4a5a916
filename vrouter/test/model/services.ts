/** What the agent has to do with a port's packets: DHCP, DNS and metadata (docs/design/guest-services.md). */
import { cidrContains } from './address.ts';
import { type Cloud, hasDhcp, METADATA_ADDRESS, type Port, servesDhcp, speakerTo } from './cloud.ts';
import type { EthernetHeaders, IpHeaders } from './headers.ts';

const UDP = 17;
const TCP = 6;
const DHCP_SERVER = 67;
const DHCP_CLIENT = 68;
const DNS = 53;
const HTTP = 80;
const ICMP = 1;
const ICMP_ECHO_REPLY = 0;
const ICMP_UNREACHABLE = 3;
/** The agent probes members of load balancers from such ports. */
const PROBE_FIRST_PORT = 49_152;
const TO_ALL = '255.255.255.255';
const NOBODY = '0.0.0.0';
/** The reason why a port may not send this packet, or undefined. */
export function spoofs(cloud: Cloud, port: Port, src: string, ip: IpHeaders): string | undefined {
  if (!port.portSecurity || maySend(port, src, ip.from) || asksOwnServer(cloud, port, src, ip)) return undefined;
  return src === port.mac ? 'spoofed_ip' : 'spoofed_mac';
}

/** A DHCP client without an address, in a network where a guest may be the server. */
function asksOwnServer(cloud: Cloud, port: Port, src: string, { from, to, tuple }: IpHeaders): boolean {
  const isQuestion = tuple.protocol === UDP && tuple.sport === DHCP_CLIENT && tuple.dport === DHCP_SERVER;
  return isQuestion && from === NOBODY && to === TO_ALL && src === port.mac && !servesDhcp(cloud, port.network);
}

/** A port's own MAC with one of its addresses, or an allowed pair. */
export function maySend(port: Port, src: string, from: string): boolean {
  if (src === port.mac && port.addresses.includes(from)) return true;
  return port.pairs.some(({ mac, cidr }) => mac === src && cidrContains(cidr, from));
}

export type Service = 'dhcp' | 'metadata' | 'refused' | 'rogue' | undefined;

/** Undefined: it is an ordinary packet. */
export function serviceOf(cloud: Cloud, port: Port, src: string, ip: IpHeaders): Service {
  const plain = ip.fragment === 'whole' && ip.headerBytes === 20;
  const { protocol, sport, dport } = ip.tuple;
  if (protocol === UDP && ip.fragment !== 'later' && !ip.isError) {
    if ((sport === DHCP_SERVER || dport === DHCP_CLIENT) && port.portSecurity && servesDhcp(cloud, port.network))
      return 'rogue';
    if (dport === DHCP_SERVER && hasDhcp(cloud, port) && asksServer(cloud, port, src, ip))
      return plain ? 'dhcp' : 'refused';
  }
  if (ip.to === METADATA_ADDRESS) {
    if (answersProbe(ip)) return ip.headerBytes === 20 && ip.from === port.addresses[0] ? 'metadata' : 'refused';
    const asks = isAgentPort(protocol, dport) && !ip.isError;
    return asks && plain && ip.from === port.addresses[0] ? 'metadata' : 'refused';
  }
  return undefined;
}

function isProbePort(protocol: number, port: number): boolean {
  return (protocol === TCP || protocol === UDP) && port >= PROBE_FIRST_PORT;
}

/** What may answer a probe, or tell why it did not arrive. */
function answersProbe({ fragment, isError, icmpType, opens, protocol, tuple }: IpHeaders): boolean {
  if (fragment !== 'whole') return false;
  if (isError) return icmpType === ICMP_UNREACHABLE && isProbePort(tuple.protocol, tuple.dport);
  if (protocol === ICMP) return icmpType === ICMP_ECHO_REPLY;
  return isProbePort(protocol, tuple.dport) && !opens;
}

function isAgentPort(protocol: number, port: number): boolean {
  return protocol === TCP ? port === DNS || port === HTTP : protocol === UDP && port === DNS;
}

/** To all, to the port's server, or to another one by a client that has lost its address and does not know. */
function asksServer(cloud: Cloud, port: Port, src: string, { from, to, tuple }: IpHeaders): boolean {
  if (to === TO_ALL || to === speakerTo(cloud, port)) return true;
  return tuple.sport === DHCP_CLIENT && port.portSecurity && !maySend(port, src, from);
}

/** The reason to drop a packet that the agent has to do with, or undefined: then it is handed over. */
export function refusesService(
  cloud: Cloud,
  port: Port,
  { src }: EthernetHeaders,
  ip: IpHeaders,
  service: Service,
): string | undefined {
  const mayLackAddress = (ip.from === NOBODY || service === 'dhcp') && src === port.mac;
  const spoofed = mayLackAddress ? undefined : spoofs(cloud, port, src, ip);
  if (spoofed !== undefined) return spoofed;
  if (service === 'rogue') return 'port_disabled_dhcp';
  return service === 'refused' ? 'service' : undefined;
}

export type Answer = { readonly from: string; readonly to: string; readonly toAll: boolean };

const UDP_HEADER = 8;
const BOOTP_ENDS = 16;

/** Whom the agent's answer to a port is from, and to; or the reason to drop it. */
export function answerOf(cloud: Cloud, port: Port, frame: Buffer, ip: IpHeaders): Answer | string {
  if (ip.fragment !== 'whole' || ip.isError) return 'service';
  const { protocol, sport } = ip.tuple;
  if (protocol === UDP && sport === DHCP_SERVER) {
    const bootp = frame.subarray(14 + ip.headerBytes + UDP_HEADER);
    if (bootp.length < BOOTP_ENDS) return 'malformed';
    const client = bootp.subarray(12, 16).join('.');
    const asked = (bootp.readUInt16BE(10) & 0x8000) !== 0;
    const known = client !== NOBODY;
    return { from: speakerTo(cloud, port), to: known ? client : TO_ALL, toAll: !known && asked };
  }
  const isProbe = isProbePort(protocol, sport) || ip.isEcho;
  if (isAgentPort(protocol, sport) || isProbe)
    return { from: METADATA_ADDRESS, to: port.addresses[0] ?? NOBODY, toAll: false };
  return 'service';
}
