import { type AnyObject, CableError, type Host, type HostBandwidth, type HostBooking } from '@cable/model';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import { lookAtTables, type Plan } from '../engine/plan.ts';
import type { Look } from '../engine/view.ts';
import { acknowledgedRevision, refusedEntries } from '../hosts/acknowledgements.ts';
import { beingRenamed, isPair, leftOver, renamedFrom, renamedTo, renamingOf } from '../hosts/renaming.ts';
import { aliveKey, vifPrefix } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { zoneOf } from './availability-zone.ts';
import { ROUTER_GATEWAY } from './device-owners.ts';
import { bookedOn, overbooked } from './minimum-bandwidth.ts';
import { carriedMtu, isTunnelled } from './network-segment.ts';
import { revokeGone } from './revoke-host.ts';

/** Hosts: made by their agents; deleted by an administrator when they are gone for good. */
export const hostModule: Contribution<AnyObject> = contribute<Host>({
  remove: (planning, host) => {
    const { deps, plan } = planning;
    const renaming = renamingOf(plan, host);
    if (renaming.kind === 'under-way') throw beingRenamed(renaming.old, renaming.names[0]);
    if (deps.tables.of('alive').get(host.id) !== undefined) throw isAlive(host.id);
    // Gateways find themselves another standby.
    const standby = plan.by('port', 'standby_hosts', host.id).filter((port) => port.device_owner !== ROUTER_GATEWAY);
    const ports = [...plan.by('port', 'binding:host_id', host.id), ...standby];
    if (ports.length > 0) throw hasPorts(host.id, ports.length);
    plan.requireAbsent(aliveKey(host.id));
    plan.deletePrefix(vifPrefix(host.id));
    dropBooking(plan, host.id);
    revokeGone(planning, host.id);
  },
  claims: (host) => (renamedFrom(host) === undefined ? [underlayClaim(host.underlay)] : []),
  broken: brokenHost,
  present: (tables, host) => {
    const refused = refusedEntries(tables, host.id);
    return {
      alive: tables.of('alive').get(host.id) !== undefined,
      acknowledged_revision: acknowledgedRevision(tables, host.id),
      bandwidth: host.bandwidth ?? {},
      admin_state_up: takesAnything(host),
      description: host.description ?? '',
      availability_zone: zoneOf(host),
      booked_bandwidth: bookedOn(lookAtTables(tables), host.id),
      networks_too_large: networksTooLarge(tables, host),
      refused_entries: refused?.entries ?? 0,
      refused_reason: refused?.reason ?? null,
    };
  },
});

/** What was promised on hosts. */
export const hostBookingModule: Contribution<AnyObject> = contribute<HostBooking>({
  broken: (look, { id, granted }) => overbooked(look, id, granted as HostBandwidth),
});

/** False: its agent is set down, and it takes no new ports and no gateways. A row of before hosts had the attribute has none. */
export function takesAnything(host: Pick<Host, 'admin_state_up'>): boolean {
  return host.admin_state_up !== false;
}

/** With the host goes what was promised there: nobody has it any more. */
export function dropBooking(plan: Plan, host: string): void {
  if (plan.get('host_booking', host) !== undefined) plan.delete('host_booking', host);
}

function networksTooLarge(tables: Tables, host: Host): number {
  const most = carriedMtu(host);
  if (most === null) return 0;
  const ids = new Set(
    tables
      .of('port')
      .by('binding:host_id', host.id)
      .map(({ network_id: id }) => id),
  );
  const isTooLarge = (id: string): boolean => {
    const network = tables.of('network').get(id);
    return network !== undefined && isTunnelled(network) && network.mtu > most;
  };
  return [...ids].filter(isTooLarge).length;
}

function underlayClaim(address: string): Claim {
  return {
    kind: 'underlay',
    value: address,
    holder: (look) => look.by('host', 'underlay', address).find((host) => renamedFrom(host) === undefined)?.id,
    taken: (holder) =>
      new CableError('UnderlayAddressInUse', `Underlay address ${address} belongs to host ${holder}.`, {
        fields: { underlay: address, host: holder },
      }),
  };
}

/** So no two hosts have one address but the two of a rename: of two that are in none, both claim it. */
function* brokenHost(look: Look, host: Host): Iterable<Broken> {
  const rule = 'the two hosts of a rename name each other';
  const to = renamedTo(host);
  const made = to === undefined ? undefined : look.get('host', to);
  if (to !== undefined && (made === undefined || !isPair(host, made))) {
    yield { rule, detail: beingRenamed(host.id, to).message };
  }
  const from = renamedFrom(host);
  const old = from === undefined ? undefined : look.get('host', from);
  if (from === undefined || (old !== undefined && isPair(old, host))) return;
  const renaming = renamingOf(look, host);
  if (renaming.kind === 'left-over') yield { rule, detail: leftOver(host.id, renaming).message };
  else yield { rule, detail: beingRenamed(from, host.id).message };
}

/** Why nothing is done to a host whose agent runs. */
export function isAlive(host: string): CableError {
  return new CableError('InUse', `Host ${host} is alive.`, {
    label: 'Host',
    detail: 'Stop its agent; some 20 seconds later the host is not alive any more.',
  });
}

function hasPorts(host: string, count: number): CableError {
  const filter = encodeURIComponent(host);
  return new CableError('InUse', `Host ${host} has ${count} ports bound to it.`, {
    label: 'Host',
    fields: { host, ports: count },
    detail:
      `List them (cable port list --host ${host}, or GET /v2.0/ports?binding:host_id=${filter}); ` +
      'delete each, or give it the binding:host_id of another host, or an empty one.',
  });
}
