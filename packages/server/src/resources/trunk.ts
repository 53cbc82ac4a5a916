/** Trunks: which ports they have. A port is a part of one trunk at most, as its parent or as a sub-port. */
import { type AnyObject, CableError, type Port, type Trunk } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import { notFound } from '../engine/read.ts';
import type { Look, View } from '../engine/view.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import type { Tables } from '../tables.ts';
import { TRUNK_SUBPORT } from './device-owners.ts';
import { hasVip } from './has-vip.ts';

export type SubPort = Trunk['sub_ports'][number];

export const trunkModule: Contribution<AnyObject> = contribute<Trunk>({
  derive: (planning, { id, port_id: parentId = '', sub_ports: given = [] }) => {
    const parent = permittedPort(planning, parentId);
    checkParent(planning.plan, parent);
    const added = withTags(planning, given, { id, sub_ports: [] });
    takeSubPorts(planning, parent, added, []);
    return { sub_ports: added };
  },
  remove: (planning, trunk) => {
    refuseDisabled(trunk);
    for (const { port_id } of trunk.sub_ports) releaseSubPort(planning, port_id);
  },
  claims: (trunk) => [trunk.port_id, ...trunk.sub_ports.map((one) => one.port_id)].map(memberClaim),
  broken: brokenTrunk,
  present: (tables, trunk) => ({ status: statusOf(tables, trunk) }),
});

/** Throws `TrunkDisabled`: what is off is changed by nothing but turning it on. */
export function refuseDisabled({ id, admin_state_up: isUp }: Trunk): void {
  if (!isUp) throw new CableError('TrunkDisabled', `Trunk ${id} is currently disabled.`);
}

/** That the port is a part of a trunk, which there is once. Its holder is the trunk. */
export function memberClaim(portId: string): Claim {
  return {
    kind: 'trunk',
    value: portId,
    under: { type: 'port', id: portId },
    holder: (look) => trunkOf(look, portId)?.id,
    taken: (holder) => inOtherTrunk(portId, holder),
  };
}

/** The trunk that the port is a part of; undefined: none. */
export function trunkOf(look: Pick<Look, 'by'>, portId: string): Trunk | undefined {
  return look.by('trunk', 'port_id', portId)[0] ?? look.by('trunk', 'sub_ports.port_id', portId)[0];
}

/** The same as a rule: it is still so when the transaction commits, and the trunk as it is. */
export function relyOnTrunk(view: View, portId: string): Trunk | undefined {
  const id = view.holder(memberClaim(portId));
  return id === undefined ? undefined : view.rely('trunk', id);
}

/**
 * Ports become sub-ports: each is where the parent is. Throws when one cannot, in Neutron's words. `others`: those that the trunk has already.
 */
export function takeSubPorts(
  planning: Planning,
  parent: Port,
  added: readonly SubPort[],
  others: readonly SubPort[],
): void {
  // Where the parent is must be so still, and so must be what its network takes.
  planning.plan.rely('port', parent.id);
  for (const one of added) {
    const port = permittedPort(planning, one.port_id);
    checkSubPort(planning.plan, parent, port, [...others, ...added]);
    placeSubPort(planning, port, parent);
  }
}

/** The sub-ports with their tags, those of their networks where they say `inherit`. `trunk`: with those that it has already. Throws `DuplicateSubPort`. */
export function withTags(
  planning: Planning,
  given: readonly SubPort[],
  { id, sub_ports: others }: Pick<Trunk, 'id' | 'sub_ports'>,
): readonly SubPort[] {
  const tags = new Set(others.map((one) => one.segmentation_id));
  return given.map((one) => {
    const tagged = one.segmentation_type === 'inherit' ? inherited(planning, one) : one;
    const tag = tagged.segmentation_id;
    if (tags.has(tag)) {
      const message = `segmentation_type vlan and segmentation_id ${tag} already in use on trunk ${id}.`;
      throw new CableError('DuplicateSubPort', message);
    }
    tags.add(tag);
    return tagged;
  });
}

function inherited(planning: Planning, one: SubPort): SubPort {
  const network = planning.plan.get('network', permittedPort(planning, one.port_id).network_id);
  const tag = network?.['provider:segmentation_id'] ?? null;
  if (network?.['provider:network_type'] === 'vlan' && tag !== null) {
    return { ...one, segmentation_type: 'vlan', segmentation_id: tag };
  }
  throw invalid(
    `sub_ports: port ${one.port_id} cannot inherit a tag from a network of type ${network?.['provider:network_type']}: give segmentation_type vlan and a segmentation_id`,
  );
}

/** The sub-port is where its parent is. */
export function placeSubPort(planning: Planning, port: Port, parent: Port): void {
  updatePort(planning, port, {
    device_owner: TRUNK_SUBPORT,
    'binding:host_id': parent['binding:host_id'] ?? '',
    inactive_bindings: parent.inactive_bindings,
    'binding:profile': migratingProfile(port, parent),
  });
}

/** The sub-port goes where Nova says in the parent's profile that this will go. */
function migratingProfile(port: Port, parent: Port): Port['binding:profile'] {
  const { migrating_to: _last, ...others } = port['binding:profile'] ?? {};
  const target = parent['binding:profile']?.['migrating_to'];
  return target === undefined ? others : { ...others, migrating_to: target };
}

/** The port is nobody's any more. */
export function releaseSubPort(planning: Planning, portId: string): void {
  const port = planning.plan.get('port', portId);
  if (port === undefined || planning.plan.deletes('port', portId)) return;
  updatePort(planning, port, { device_owner: '', 'binding:host_id': '', inactive_bindings: [] });
}

function updatePort(planning: Planning, port: Port, changes: Partial<Port>): void {
  planUpdate({ ...planning, isService: true }, planning.deps.resources.named('port'), port, changes);
}

/** A port that the caller may change. */
function permittedPort(planning: Planning, portId: string): Port {
  const resource = planning.deps.resources.named('port');
  permittedRow(planning, resource, portId, (before) => ({ verb: 'update', before, changes: {} }));
  const port = planning.plan.get('port', portId);
  if (port === undefined) throw notFound(resource, portId);
  return port;
}

function checkParent(view: View & Look, port: Port): void {
  const trunk = trunkOf(view, port.id);
  if (trunk !== undefined && trunk.port_id !== port.id) throw inOtherTrunk(port.id, trunk.id);
  if (trunk === undefined && !port.device_owner.startsWith('network:') && !hasVip(port)) return;
  throw new CableError(
    'ParentPortInUse',
    `Port ${port.id} is currently in use and is not eligible for use as a parent port.`,
  );
}

function checkSubPort(look: Look, parent: Port, port: Port, all: readonly SubPort[]): void {
  if (port.id === parent.id) throw parentInUse(port.id);
  const trunk = trunkOf(look, port.id);
  if (trunk?.port_id === port.id) throw parentInUse(port.id);
  if (trunk !== undefined) throw inOtherTrunk(port.id, trunk.id);
  if (port.device_id !== '' || port.device_owner.startsWith('network:')) {
    throw new CableError(
      'PortInUse',
      `Unable to complete operation on port ${port.id} for network ${port.network_id}. ` +
        `Port already has an attached device ${port.device_id}.`,
    );
  }
  checkMtu(look, parent, port);
  if (all.length > 4094) throw invalid(`A trunk has 4094 sub-ports at most, not ${all.length}`);
}

/** The device has the MTU of the parent's network. A network's MTU that is changed later is the operator's business. */
function checkMtu(look: Look, parent: Port, port: Port): void {
  const most = look.get('network', parent.network_id)?.mtu;
  const mtu = look.get('network', port.network_id)?.mtu;
  if (most === undefined || mtu === undefined || mtu <= most) return;
  throw new CableError(
    'SubPortMtuGreaterThanTrunkPortMtu',
    `MTU ${mtu} of subport ${port.id} cannot be greater than MTU ${most} of trunk port ${parent.id}.`,
  );
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}

function parentInUse(portId: string): CableError {
  return new CableError(
    'ParentPortInUse',
    `Port ${portId} is currently in use and is not eligible for use as a parent port.`,
  );
}

function inOtherTrunk(portId: string, trunkId: string): CableError {
  return new CableError('TrunkPortInUse', `Port ${portId} is in use by another trunk.`, {
    detail: `Remove the port from trunk ${trunkId} first.`,
  });
}

/** See the attribute's description. A port that is administratively down is as it shall be. */
function statusOf(tables: Tables, trunk: Trunk): string {
  const ports = tables.of('port');
  if (ports.get(trunk.port_id)?.status !== 'ACTIVE') return 'DOWN';
  const waiting = trunk.sub_ports.filter(({ port_id }) => {
    const port = ports.get(port_id);
    return port?.admin_state_up === true && port.status !== 'ACTIVE';
  });
  if (waiting.length === 0) return 'ACTIVE';
  const vifs = tables.of('vif');
  const failed = waiting.some(({ port_id }) => vifs.by('port_id', port_id).some((vif) => vif.state === 'error'));
  return failed ? 'DEGRADED' : 'BUILD';
}

function* brokenTrunk(look: Look, trunk: Trunk): Iterable<Broken> {
  const parent = look.get('port', trunk.port_id);
  const host = placeOf(parent);
  const tags = new Set<number>();
  for (const { port_id, segmentation_id: tag } of trunk.sub_ports) {
    if (tags.has(tag)) {
      yield { rule: 'a sub-port has a tag of its own', detail: `port ${port_id} has the tag ${tag} of another one` };
    }
    tags.add(tag);
    const port = look.get('port', port_id);
    if (port === undefined) continue;
    if (port.device_owner !== TRUNK_SUBPORT) {
      yield {
        rule: 'a sub-port says that it is one',
        detail: `the device_owner of port ${port_id} is [${port.device_owner}]`,
      };
    }
    const other = placeOf(port);
    if (parent === undefined || other === host) continue;
    yield {
      rule: 'a sub-port is where its trunk’s parent is',
      detail: `port ${port_id} is bound to [${other}], its parent ${trunk.port_id} to [${host}]`,
    };
  }
}

/** The hosts that a port is bound to, the active one first. */
function placeOf(port: Port | undefined): string {
  return [port?.['binding:host_id'] ?? '', ...(port?.inactive_bindings ?? []).map((one) => one.host)].join(', ');
}
