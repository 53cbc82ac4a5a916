/** The store's keys, each built in this one place. */
import { LANES } from '@cable/store';

/** Everything Cable keeps. */
export const ROOT = '/cable/';
/** Objects: `/cable/o/<type>/<id>`. */
export const OBJECTS = '/cable/o/';
/** What hosts report: `/cable/h/<kind>/...`. */
export const HOST_RUNTIME = '/cable/h/';

/** Claims and references: `/cable/x/<kind>/...`. They sort behind all keys that tables are made of. */
export const CLAIMS = '/cable/x/';

export function objectKey(type: string, id: string): string {
  return `${OBJECTS}${type}/${id}`;
}

/** All holders of references to one object; `byType` narrows. Ends in a slash. */
export function referencePrefix(type: string, id: string, byType?: string): string {
  return byType === undefined ? `/cable/x/ref/${type}/${id}/` : `/cable/x/ref/${type}/${id}/${byType}/`;
}

export function referenceKey(type: string, id: string, byType: string, byId: string): string {
  return `${referencePrefix(type, id, byType)}${byId}`;
}

/** Present: the address is taken in the subnet. Value: the port's id. */
export function addressKey(subnetId: string, ip: string): string {
  return `/cable/x/ip/${subnetId}/${ip}`;
}

/** Present: the MAC address is taken in the network. Value: the port's id. */
export function macKey(networkId: string, mac: string): string {
  return `/cable/x/mac/${networkId}/${mac}`;
}

/** Present: the VXLAN network identifier is taken. Value: the network's id. */
export function vniKey(vni: number): string {
  return `/cable/x/vni/${vni}`;
}

/** Present: the project has its default security group. Value: the group's id. */
export function defaultGroupKey(projectId: string): string {
  return `/cable/x/default_sg/${encodeURIComponent(projectId)}`;
}

/** Present: the group has a rule with this meaning. Value: the rule's id. */
export function ruleKey(groupId: string, fingerprint: string): string {
  return `/cable/x/rule/${groupId}/${fingerprint}`;
}

/** Present: the address is a host's tunnel end. Value: the host's name. */
export function underlayKey(ip: string): string {
  return `/cable/x/underlay/${ip}`;
}

/** The store's identity, made once: a UUID. */
export const CLUSTER = '/cable/meta/cluster';

/** Marks of the store's history, in order: the text of mark *n* and what it vouches for. */
export const MARKS = '/cable/meta/mark/';

/** All keys have one length, so that they are in the order of their numbers. */
export function markKey(number: number): string {
  return `${MARKS}${String(number).padStart(10, '0')}`;
}

const ALIVE = `${HOST_RUNTIME}alive/`;

/** Leased; present: the host's agent reports. Value: at which server, and who it is (`AliveRow`). */
export function aliveKey(host: string): string {
  return `${ALIVE}${host}`;
}

/** What servers say of their hosts. */
export const SERVERS: string = `${HOST_RUNTIME}server/`;

/** Leased; present: the server runs. Value: what its hosts have programmed (`ServerRow`). */
export function serverKey(server: string): string {
  return `${SERVERS}${server}`;
}

/** True for keys that go when a lease of a server ends; those that the store itself has written among them. */
export function isLeased(key: string): boolean {
  return key.startsWith(ALIVE) || key.startsWith(SERVERS) || key.startsWith(LANES);
}

/** What servers before protocol 2 kept of each host's acknowledgements; nobody reads it. */
export const OLD_ACKNOWLEDGEMENTS: string = `${HOST_RUNTIME}ack/`;

/** `{"state", "reason"}`: what the host says of a port's device. */
export function vifKey(host: string, portId: string): string {
  return `${vifPrefix(host)}${portId}`;
}

export function vifPrefix(host: string): string {
  return `${HOST_RUNTIME}vif/${host}/`;
}
