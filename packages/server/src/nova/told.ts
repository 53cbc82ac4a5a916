/** What Nova is to be told of a port, from what it was told last. Pure. */
import { createHash } from 'node:crypto';
import type { FloatingIp, Port } from '@cable/model';
import type { NovaRow } from '../rows.ts';

/** Names of Nova's API, `os-server-external-events`. */
export type NovaEventName = 'network-vif-plugged' | 'network-vif-unplugged' | 'network-changed' | 'network-vif-deleted';

/** One event, as it stands in the body of the request. `tag`: the port's id. */
export type NovaEvent = {
  readonly server_uuid: string;
  readonly name: NovaEventName;
  readonly status: 'completed';
  readonly tag: string;
};

/** What was told of a port, without its id. */
export type Told = Omit<NovaRow, 'id'>;

/** What there is of a port. */
export type PortFacts = {
  /** Undefined: there is no such port. */
  readonly port: Port | undefined;
  /** Of each host whose device of the port is up: the revision since when. */
  readonly up: ReadonlyMap<string, number>;
  /** The floating IPs that lead to the port. */
  readonly floatingIps: readonly FloatingIp[];
};

/** What is due. `told`: what stands beside the port once all of `events` have been taken; null: nothing; undefined: it stands as it is. */
export type Due = { readonly events: readonly NovaEvent[]; readonly told: Told | null | undefined };

const NOTHING: Due = { events: [], told: undefined };

/** Nova takes nothing else for a server, and refuses a whole request for one. */
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** The Nova server that has the port; undefined: none has. */
export function novaServerOf(port: Port): string | undefined {
  return port.device_owner.startsWith('compute:') && UUID.test(port.device_id) ? port.device_id : undefined;
}

/**
 * Compares what there is with what was told. A port of which nothing was told was bound by Nova just now: it saw all but its floating IPs.
 *
 * A device that is up since another revision has been down in between, or is another device: Nova may wait for it, so it is told. A port whose id was given
 * again is another port.
 */
export function dueOf(id: string, facts: PortFacts, told: Told | undefined): Due {
  const { port } = facts;
  if (port === undefined) {
    return told === undefined ? NOTHING : { events: [eventOf(told.server, 'network-vif-deleted', id)], told: null };
  }
  const server = novaServerOf(port);
  if (server === undefined) return told === undefined ? NOTHING : { events: [], told: null };
  const isKnown = told !== undefined && told.server === server && told.made === port.created_at;
  return changeOf(server, port, facts, isKnown ? told : undefined);
}

function changeOf(server: string, port: Port, facts: PortFacts, known: Told | undefined): Due {
  const next = toldOf(server, port, facts);
  const { active, plugs, view } = next;
  const isActive = active !== '';
  const before = known ?? { ...next, plugs: {}, active: '', view: facts.floatingIps.length > 0 ? '' : view };
  const names: NovaEventName[] = [];
  if (before.active !== '' && !isActive) names.push('network-vif-unplugged');
  if (isActive && before.active === '' && plugs[active] === undefined) names.push('network-vif-plugged');
  for (const [host, at] of Object.entries(plugs)) if (before.plugs[host] !== at) names.push('network-vif-plugged');
  if (before.view !== view) names.push('network-changed');
  if (known !== undefined && names.length === 0 && isSame(known, next)) return NOTHING;
  return { events: [...new Set(names)].map((name) => eventOf(server, name, port.id)), told: next };
}

/** What stands beside a port that is of a Nova server when all that there is has been told, or counts as told because it was so before anything was told. */
export function toldOf(server: string, port: Port, facts: PortFacts): Told {
  const host = port['binding:host_id'] ?? '';
  const isActive = host !== '' && port.status === 'ACTIVE';
  const plugs = Object.fromEntries(hostsOf(port, isActive).flatMap((one) => upAt(one, facts)));
  return { server, made: port.created_at, plugs, active: isActive ? host : '', view: viewOf(port, facts.floatingIps) };
}

/** Hosts at which the port's device counts: of its active binding once it is ACTIVE, of the others as soon as the device is up, for Nova waits for that before it moves the machine. */
function hostsOf(port: Port, isActive: boolean): readonly string[] {
  const others = port.inactive_bindings.map(({ host }) => host);
  return isActive ? [port['binding:host_id'] ?? '', ...others] : others;
}

function upAt(host: string, { up }: PortFacts): readonly (readonly [string, number])[] {
  const at = up.get(host);
  return at === undefined ? [] : [[host, at]];
}

/** What Nova keeps of a port, as a hash: addresses, MAC, groups, floating IPs, kind. */
function viewOf(port: Port, floatingIps: readonly FloatingIp[]): string {
  const floating = floatingIps.map((one) => `${one.floating_ip_address} ${one.fixed_ip_address}`).sort();
  const { mac_address: mac, fixed_ips: addresses, security_groups: groups = [] } = port;
  const parts = [mac, addresses, [...groups].sort(), floating, port['binding:vnic_type'], port.admin_state_up];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16);
}

function isSame(one: Told, other: Told): boolean {
  if (one.active !== other.active) return false;
  const hosts = Object.keys(one.plugs);
  return hosts.length === Object.keys(other.plugs).length && hosts.every((host) => host in other.plugs);
}

function eventOf(server: string, name: NovaEventName, tag: string): NovaEvent {
  return { server_uuid: server, name, status: 'completed', tag };
}
