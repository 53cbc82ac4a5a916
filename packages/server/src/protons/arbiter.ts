/** Ports of protons, for Neutron’s doors. */
import type { Attributes, Filter } from '@cable/api';
import { sleep } from '@cable/kit';
import { type AnyObject, CableError, type PortOwner, type ResourceModel } from '@cable/model';
import type { Arbiter } from '../engine/arbiter.ts';
import { checkRevision } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { permittedRow, planDelete, planUpdate } from '../engine/write.ts';
import { type OwnPort, rebind } from './moves.ts';
import { hasBegun } from './owners.ts';
import { neutronNetwork, neutronPort, neutronSubnet } from './port-view.ts';

const OWNER = 'port_owner';

/** Requests that wait for a binding at once: each holds a place among those that write. */
const WAITING_MAX = 128;

/** With less time than this left nobody waits any longer. */
const LATE_MS = 1000;
const LOOK_MS = 25;

/** Neutron's names of what a proton's port has by another one. */
const NAMES: Readonly<Record<string, string>> = {
  ...{ name: 'name', admin_state_up: 'admin_state_up', device_id: 'device_id', device_owner: 'device_owner' },
  ...{
    'binding:host_id': 'host_id',
    'binding:profile': 'profile',
    'binding:vnic_type': 'vnic_type',
    mac_address: 'mac_address',
  },
};

/** What Nova says of every port, and what says nothing of a proton's. */
const IGNORED: ReadonlySet<string> = new Set([
  ...['dns_name', 'dns_domain', 'device_profile', 'numa_affinity_policy', 'binding:vif_type', 'binding:vif_details'],
]);

/** Indexes of the rows, by Neutron's filters. */
const INDEXES: Readonly<Record<string, string>> = { device_id: 'device_id', 'binding:host_id': 'host_id' };

export function createArbiter(deps: EngineDeps): Arbiter {
  let waiting = 0;
  const ownerOf = (id: string): PortOwner | undefined => deps.tables.of(OWNER).get(id);
  const ownersBy = (index: string, key: string): readonly PortOwner[] =>
    deps.tables.any(OWNER).by(index, key) as unknown as readonly PortOwner[];
  const portView = (owner: PortOwner): AnyObject | undefined => {
    const port = deps.tables.has(owner.type) ? deps.tables.any(owner.type).get(owner.id) : undefined;
    return port === undefined ? undefined : neutronPort(port, owner);
  };
  const subnetView = (id: string): AnyObject | undefined => {
    const [owner] = ownersBy('fixed_ips.subnet_id', id);
    const own = owner?.fixed_ips.find((one) => one.subnet_id === id);
    return owner === undefined || own === undefined ? undefined : neutronSubnet(owner, own);
  };
  const networkView = (id: string): AnyObject | undefined => {
    const [owner] = ownersBy('network_id', id);
    if (owner === undefined) return undefined;
    const mtu = deps.tables.of('proton_network').get(owner.proton_network_id ?? '')?.mtu;
    return neutronNetwork(owner, mtu ?? deps.settings.underlayMtuBytes);
  };
  const views: Readonly<Record<string, (id: string) => AnyObject | undefined>> = {
    port: (id) => {
      const owner = ownerOf(id);
      if (owner === undefined) return undefined;
      const view = portView(owner);
      // It is there, and this server does not know what it is.
      if (view === undefined) throw notLoaded(owner);
      return view;
    },
    network: networkView,
    subnet: subnetView,
  };
  const idsBy = (
    type: string,
    { attribute, property, values, substring, lacks }: Filter,
  ): readonly string[] | undefined => {
    if (substring || lacks === true || property !== null) return undefined;
    if (attribute === 'id') return values;
    const index = type === 'port' ? INDEXES[attribute] : undefined;
    if (index === undefined || values.includes('')) return undefined;
    return values.flatMap((value) =>
      deps.tables
        .any(OWNER)
        .by(index, value)
        .map(({ id }) => id),
    );
  };
  const known = (type: string, id: string): AnyObject | undefined => {
    const owner = type === 'port' ? ownerOf(id) : undefined;
    return owner === undefined ? views[type]?.(id) : portView(owner);
  };
  return {
    row: (type, id) => views[type]?.(id),
    known: (id) => known('port', id),
    rows: (type, filters) => {
      for (const filter of filters) {
        const ids = idsBy(type, filter);
        if (ids !== undefined) return [...new Set(ids)].flatMap((id) => known(type, id) ?? []);
      }
      return [];
    },
    update: (planning, id, changes, ifRevision) => {
      const own = ownPort(planning, id);
      if (own === undefined) return undefined;
      const mapped = mappedChanges(own, changes);
      const deed = (before: AnyObject) => ({ verb: 'update', before, changes: mapped }) as const;
      const row = permittedRow(planning, own.resource, id, deed);
      checkRevision(row, ifRevision);
      const after = planUpdate(planning, own.resource, row, mapped);
      return neutronPort(after, planning.plan.get(OWNER, id) as unknown as PortOwner);
    },
    rebind: (planning, id, step) => {
      const own = ownPort(planning, id);
      if (own === undefined) return undefined;
      permittedRow(planning, own.resource, id, (before) => ({ verb: 'update', before, changes: { host_id: '' } }));
      return rebind(planning, own, step, (changes) => mappedChanges(own, changes as Attributes));
    },
    remove: (planning, id, ifRevision) => {
      const own = ownPort(planning, id);
      if (own === undefined) return false;
      const row = permittedRow(planning, own.resource, id, (before) => ({ verb: 'delete', before }));
      checkRevision(row, ifRevision);
      planDelete(planning, own.resource, row);
      return true;
    },
    settled: async (_deps, id, asked) => {
      if (hasBegun(asked)) {
        if (waiting >= WAITING_MAX) throw tooMany();
        waiting += 1;
        try {
          await untilBound(deps, id, asked);
        } finally {
          waiting -= 1;
        }
      }
      const view = views['port']?.(id);
      if (view === undefined)
        throw new CableError('NotFound', `Port ${id} could not be found.`, { label: 'Port', fields: { id } });
      return view;
    },
  };
}

/** Waits while the port’s binding is pending, as far as the request has time. */
async function untilBound({ tables, monotonicMs }: EngineDeps, id: string, asked: Asked): Promise<void> {
  const end = asked.deadlineMs - LATE_MS;
  while (tables.of(OWNER).get(id)?.phase === 'Pending' && monotonicMs() < end && !asked.isGone) {
    await sleep(LOOK_MS, asked.signal);
  }
}

function notLoaded({ proton, id }: PortOwner): CableError {
  return new CableError(
    'ServiceUnavailable',
    `Port ${id} is of the proton ${proton}, which this server has not loaded.`,
  );
}

function tooMany(): CableError {
  return new CableError(
    'ServiceUnavailable',
    `${WAITING_MAX} requests wait for bindings of ports already: this one goes on without its request.`,
  );
}

/** On which the transaction rests. */
function ownPort({ deps, plan }: Planning, id: string): OwnPort | undefined {
  const owner = plan.rely(OWNER, id) as unknown as PortOwner | undefined;
  const resource = owner === undefined ? undefined : deps.resources.find(owner.type);
  if (owner === undefined || resource === undefined) return undefined;
  const port = plan.rely(owner.type, id) as unknown as AnyObject | undefined;
  return port === undefined ? undefined : { owner, port, resource };
}

/** What the proton's port is to have. What it has not is refused, with the place where it may be changed. */
function mappedChanges({ owner, port, resource }: OwnPort, changes: Attributes): Attributes {
  const mapped: Record<string, unknown> = {};
  const view = neutronPort(port, owner);
  for (const [name, value] of Object.entries(changes)) {
    const own = NAMES[name];
    // A host that is named again may be a new try.
    if (IGNORED.has(name) || (name !== 'binding:host_id' && isSame(view[name], value))) continue;
    const attribute = own === undefined ? undefined : resource.storedAttributes[own];
    if (own === undefined || attribute === undefined) throw elsewhere(owner, resource, name);
    const isText = attribute.type === 'string' && typeof value === 'object' && value !== null;
    mapped[own] = isText ? JSON.stringify(value) : value === '' || value === null ? emptyOf(attribute) : value;
  }
  return mapped;
}

function emptyOf({ nullable }: { readonly nullable?: true }): unknown {
  return nullable === true ? null : '';
}

function isSame(one: unknown, other: unknown): boolean {
  const plain = (value: unknown): string => JSON.stringify(value ?? '');
  return plain(one) === plain(other);
}

function elsewhere({ proton, id }: PortOwner, { collection }: ResourceModel, name: string): CableError {
  return new CableError('HTTPBadRequest', `Invalid input for ${name}. Reason: port ${id} is of the proton ${proton}.`, {
    detail: `Change it at ${collection}/${id}.`,
    fields: { attribute: name },
  });
}
