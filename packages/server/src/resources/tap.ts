/** Tap services, tap flows and tap mirrors: whose ports they may be about, which place each has at its port, and what a port tells of them. */
import {
  type AnyObject,
  CableError,
  type Port,
  parseIp,
  type TapFlow,
  type TapMirror,
  type TapService,
} from '@cable/model';
import { asService, type Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute, type Given } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { planUpdate } from '../engine/write.ts';
import { NotLoadedError } from '../not-loaded.ts';
import type { Tables } from '../tables.ts';
import { allocateVni, vniClaim } from './network-segment.ts';
import { checkTapFilter } from './tap-filter.ts';

/** Mirrors of one direction of a port (CB_VIF_MIRRORS in the vrouter). */
const PLACES = 4;

/** ERSPAN type II has ten bits for it. */
const SESSION_MAX = 1023;

type Direction = 'in' | 'out';

/** Each may be absent. */
type Directions = Partial<TapMirror['directions']>;

type Placed = Pick<TapFlow, 'id' | 'in_place' | 'out_place'>;

export const tapServiceModule: Contribution<AnyObject> = contribute<TapService>({
  derive: (planning, given) => {
    checkPort(planning, given.port_id ?? '', given);
    return { vni: allocateVni(planning) };
  },
  created: (planning, { port_id: portId }) => tellPort(planning, portId),
  removed: (planning, { port_id: portId }) => tellPort(planning, portId),
  claims: ({ vni }) => [vniClaim(vni)],
  broken: ownedBroken(({ port_id: portId }) => [portId]),
  present: (tables, { port_id: portId }) => ({ status: statusOf(tables, [portId]) }),
});

export const tapFlowModule: Contribution<AnyObject> = contribute<TapFlow>({
  derive: (planning, given) => {
    const { source_port: portId = '', tap_service_id: serviceId = '', direction = 'BOTH' } = given;
    checkPort(planning, portId, given);
    checkService(planning, serviceId, given);
    return placesOf(planning, portId, { in: direction !== 'OUT', out: direction !== 'IN' });
  },
  created: (planning, { source_port: portId }) => tellPort(planning, portId),
  removed: (planning, { source_port: portId }) => tellPort(planning, portId),
  check: (_view, flow) => checkTapFilter(flow['cable:filter']),
  claims: (flow) => placeClaims(flow, flow.source_port),
  broken: ownedBroken(({ source_port: portId }) => [portId]),
  present: (tables, flow) => {
    const service = tables.of('tap_service').get(flow.tap_service_id);
    return { status: statusOf(tables, [flow.source_port, service?.port_id ?? '']) };
  },
});

export const tapMirrorModule: Contribution<AnyObject> = contribute<TapMirror>({
  derive: (planning, given) => {
    const { port_id: portId = '' } = given;
    const directions: Directions = given.directions ?? {};
    checkPort(planning, portId, given);
    if (planning.deps.settings.overlayIpVersion === 6)
      throw invalid(
        'remote_ip: hosts of this cloud have IPv6 addresses, and reach collectors by IPv4 only: use a tap service',
      );
    checkCollector(given);
    const { IN: received, OUT: sent } = directions;
    return {
      ...placesOf(planning, portId, { in: received !== undefined, out: sent !== undefined }),
      in_tunnel: received ?? null,
      out_tunnel: sent ?? null,
    };
  },
  created: (planning, { port_id: portId }) => tellPort(planning, portId),
  removed: (planning, { port_id: portId }) => tellPort(planning, portId),
  check: (_view, mirror) => checkTapFilter(mirror['cable:filter']),
  claims: (mirror) => [
    ...placeClaims(mirror, mirror.port_id),
    ...[mirror.in_tunnel, mirror.out_tunnel].flatMap((tunnel) => (tunnel === null ? [] : [tunnelClaim(tunnel)])),
  ],
  broken: ownedBroken(({ port_id: portId }) => [portId]),
});

/** Ports: whether hosts must look for taps of theirs. */
export const tapPortModule: Contribution<AnyObject> = contribute<Port>({
  *broken(look, port) {
    if (port.tapped === hasTaps(look, port.id)) return;
    yield {
      rule: 'a port says that it has tap services, tap flows or tap mirrors when it has',
      detail: `port ${port.id} says ${port.tapped}`,
    };
  },
});

/** The port, of the project that the new object is of, which hosts carry. Throws. */
function checkPort({ plan }: Planning, portId: string, given: Given<AnyObject>): void {
  const port = plan.get('port', portId);
  // One that is not there is told of where references are looked at.
  if (port === undefined) return;
  if (port.project_id !== given.project_id) {
    throw new CableError('PortDoesNotBelongToTenant', 'The specified port does not belong to the tenant.');
  }
  if (!port.device_owner.startsWith('network:')) return;
  throw invalid(`port ${portId} is one of ${port.device_owner}, which no host carries: give one of a machine`);
}

function checkService({ plan }: Planning, serviceId: string, given: Given<TapFlow>): void {
  const service = plan.get('tap_service', serviceId);
  if (service === undefined) return;
  if (service.project_id !== given.project_id) {
    throw new CableError('TapServiceNotBelongToTenant', 'Specified Tap Service does not belong to the tenant.');
  }
  if (service.port_id !== given.source_port) return;
  throw invalid(`source_port ${given.source_port} is the port of the tap service: a port does not watch itself`);
}

function checkCollector({ remote_ip: remote = '', mirror_type: type, ...given }: Given<TapMirror>): void {
  const directions: Directions = given.directions ?? {};
  const address = parseIp(remote);
  if (address !== undefined && address.version !== 4) {
    throw invalid(`remote_ip ${remote} is an IPv6 address: hosts reach collectors by IPv4`);
  }
  if (/^(0|127|22[4-9]|2[3-5]\d)\./.test(remote)) throw invalid(`remote_ip ${remote} is no address of a machine`);
  const tunnels = [directions.IN, directions.OUT].filter((one) => one !== undefined);
  if (tunnels.length === 0) throw invalid('directions is empty: give IN, OUT or both, each with a tunnel number');
  if (directions.IN === directions.OUT) throw invalid('directions has one tunnel number twice: give each its own');
  const high = type === 'erspanv1' ? tunnels.find((one) => one > SESSION_MAX) : undefined;
  if (high === undefined) return;
  throw invalid(`directions: ${high} is no session of ERSPAN, which go from 0 to ${SESSION_MAX}`);
}

/** The lowest places that are free at the port. Throws when there is none. */
function placesOf(
  { plan }: Planning,
  portId: string,
  wanted: { readonly in: boolean; readonly out: boolean },
): Omit<Placed, 'id'> {
  const others = mirrorsOf(plan, portId);
  const place = (direction: Direction): number => {
    const taken = new Set(others.map((one) => placeOf(one, direction)));
    const free = Array.from({ length: PLACES }, (_, n) => n).find((n) => !taken.has(n));
    if (free !== undefined) return free;
    const what = direction === 'in' ? 'receives' : 'sends';
    throw new CableError('HTTPConflict', `Port ${portId} has ${PLACES} mirrors of what it ${what}, which is the most.`);
  };
  return { in_place: wanted.in ? place('in') : null, out_place: wanted.out ? place('out') : null };
}

function placeOf(mirror: Placed, direction: Direction): number | null {
  return direction === 'in' ? mirror.in_place : mirror.out_place;
}

function placeClaims(mirror: Placed, portId: string): readonly Claim[] {
  return (['in', 'out'] as const).flatMap((direction) => {
    const place = placeOf(mirror, direction);
    return place === null ? [] : [placeClaim(portId, direction, place)];
  });
}

function placeClaim(portId: string, direction: Direction, place: number): Claim {
  return {
    kind: 'tap_place',
    value: `${portId}/${direction}${place}`,
    holder: (look) => mirrorsOf(look, portId).find((one) => placeOf(one, direction) === place)?.id,
    taken: (holder) => new CableError('HTTPConflict', `Mirror ${holder} of port ${portId} was made at the same time.`),
  };
}

function tunnelClaim(tunnel: number): Claim {
  return {
    kind: 'tap_tunnel',
    value: String(tunnel),
    holder: (look) =>
      (look.by('tap_mirror', 'in_tunnel', String(tunnel))[0] ?? look.by('tap_mirror', 'out_tunnel', String(tunnel))[0])
        ?.id,
    taken: () =>
      new CableError('TapMirrorTunnelConflict', `Tap Mirror with tunnel_id ${tunnel} already exists.`, {
        fields: { tunnel },
      }),
  };
}

/** Tap flows and tap mirrors of the port. */
function mirrorsOf(look: Pick<Look, 'by'>, portId: string): readonly Placed[] {
  return [...look.by('tap_flow', 'source_port', portId), ...tapMirrorsOf(look, portId)];
}

/** None where tap mirrors are not loaded. */
function tapMirrorsOf(look: Pick<Look, 'by'>, portId: string): readonly TapMirror[] {
  try {
    return look.by('tap_mirror', 'port_id', portId);
  } catch (err) {
    if (err instanceof NotLoadedError) return [];
    throw err;
  }
}

function hasTaps(look: Pick<Look, 'by'>, portId: string): boolean {
  return mirrorsOf(look, portId).length > 0 || look.by('tap_service', 'port_id', portId).length > 0;
}

/** The port says whether it has any: hosts look at no others. Nothing, if it goes, too. */
function tellPort(planning: Planning, portId: string): void {
  const { plan, deps } = planning;
  const port = plan.get('port', portId);
  if (port === undefined || plan.deletes('port', portId)) return;
  const tapped = hasTaps(plan, portId);
  if (port.tapped !== tapped) planUpdate(asService(planning), deps.resources.named('port'), port, { tapped });
}

function ownedBroken<T extends TapService | TapFlow | TapMirror>(
  portsOf: (object: T) => readonly string[],
): (look: Look, object: T) => Iterable<Broken> {
  return function* (look, object) {
    for (const portId of portsOf(object)) {
      const port = look.get('port', portId);
      if (port === undefined || port.project_id === object.project_id) continue;
      yield {
        rule: 'a project mirrors its own ports',
        detail: `port ${portId} is of project ${port.project_id}, ${object.id} of ${object.project_id}`,
      };
    }
  };
}

function statusOf(tables: Tables, ports: readonly string[]): 'ACTIVE' | 'DOWN' {
  return ports.every((id) => tables.of('port').get(id)?.status === 'ACTIVE') ? 'ACTIVE' : 'DOWN';
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
