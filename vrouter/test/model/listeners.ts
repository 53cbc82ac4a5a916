/** What guests say of groups of multicast (IGMP), and who gets what is sent to one: docs/design/multicast.md. Nothing ages here, and nobody speaks so much that it is not heard. */
import { ipText } from '../packet-text.ts';
import type { Cloud, Port } from './cloud.ts';
import { networkNamed } from './cloud.ts';
import type { IpHeaders } from './headers.ts';

/** What a packet says. `joins`: of a report; undefined: not all of it could be read. */
export type Speech =
  | { readonly kind: 'query' | 'router' }
  | { readonly kind: 'report'; readonly joins: readonly string[] | undefined };

type Listener = { readonly groups: Set<string>; isRouter: boolean; getsAll: boolean };

const IGMP = 2;
const PIM = 103;
const QUERY = 0x11;
const [REPORT_1, REPORT_2, LEAVE, REPORT_3] = [0x12, 0x16, 0x17, 0x22];
const BLOCK = 6;
const ETHERNET_BYTES = 14;
const MOST_RECORDS = 64;

/** Undefined: nothing. */
export function speechOf(frame: Buffer, ip: IpHeaders): Speech | undefined {
  if (ip.protocol === PIM) return { kind: 'router' };
  if (ip.protocol !== IGMP) return undefined;
  const message = frame.subarray(ETHERNET_BYTES + ip.headerBytes, ETHERNET_BYTES + frame.readUInt16BE(16));
  if (ip.fragment === 'later' || message.length === 0) return { kind: 'report', joins: undefined };
  const type = message[0];
  if (type === QUERY) return { kind: 'query' };
  if (type !== REPORT_1 && type !== REPORT_2 && type !== REPORT_3 && type !== LEAVE) return undefined;
  if (ip.fragment === 'first') return { kind: 'report', joins: undefined };
  if (type === LEAVE) return { kind: 'report', joins: [] };
  if (type === REPORT_3) return { kind: 'report', joins: joinsOf(message) };
  return { kind: 'report', joins: message.length < 8 ? undefined : [ipText(message.subarray(4, 8))] };
}

/** Those before the record that is not whole are joined as well; who then gets all anyway. */
function joinsOf(message: Buffer): readonly string[] | undefined {
  if (message.length < 8) return undefined;
  const joins: string[] = [];
  let at = 8;
  const count = message.readUInt16BE(6);
  for (let n = 0; n < count; n++) {
    if (n === MOST_RECORDS || at + 8 > message.length) return undefined;
    const sources = message.readUInt16BE(at + 2);
    const type = message[at] ?? 0;
    if (type === 2 || type === 4 || (type >= 1 && type < BLOCK && sources > 0))
      joins.push(ipText(message.subarray(at + 4, at + 8)));
    at += 8 + 4 * sources + 4 * (message[at + 1] ?? 0);
  }
  return joins;
}

/** A group that is not of the link. */
function isJoinable(address: string): boolean {
  const [first = 0, second, third] = address.split('.').map(Number);
  return first >= 224 && first < 240 && !(first === 224 && second === 0 && third === 0);
}

export class Listeners {
  readonly #listeners = new Map<string, Listener>();

  #of(port: string): Listener {
    const known = this.#listeners.get(port) ?? { groups: new Set(), isRouter: false, getsAll: false };
    this.#listeners.set(port, known);
    return known;
  }

  /** A port of this host has sent a packet from an address that it may send from. */
  hear(cloud: Cloud, port: Port, frame: Buffer, ip: IpHeaders): void {
    const speech = isSnooped(cloud, port.network) ? speechOf(frame, ip) : undefined;
    if (speech === undefined) return;
    const listener = this.#of(port.name);
    if (speech.kind !== 'report') listener.isRouter = true;
    else if (speech.joins === undefined) listener.getsAll = true;
    else for (const group of speech.joins) if (isJoinable(group)) listener.groups.add(group);
  }

  /** Of the ports of a network, does this one get a copy? */
  gets(cloud: Cloud, port: Port, frame: Buffer, ip: IpHeaders | undefined): boolean {
    if (ip === undefined || !isSnooped(cloud, port.network)) return true;
    const { groups, isRouter, getsAll } = this.#of(port.name);
    if (isRouter) return true;
    if (speechOf(frame, ip)?.kind === 'report') return false;
    return !isJoinable(ip.to) || getsAll || groups.has(ip.to);
  }
}

function isSnooped(cloud: Cloud, network: string): boolean {
  return networkNamed(cloud, network)?.snooped === true;
}
