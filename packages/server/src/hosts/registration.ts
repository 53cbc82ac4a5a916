import { BUILT_IN_RESOURCES, CableError, DEFAULT_ZONE, type Host, type ResourceModel } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { aliveKey, objectKey, underlayKey } from '../keys.ts';
import { parseObject, putObject } from '../object-text.ts';
import { type AliveRow, parseRuntime } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { admit, type HostIdentity, superseded } from './identity.ts';
import { beingRenamed, isExplainedBy, leftOver, renamedFrom, renamedTo } from './renaming.ts';

/** What is to be written of a host that has spoken. */
export type Entry = {
  readonly host: string;
  readonly identity: HostIdentity;
  /** Version of the agent, when it registers; undefined: it is known, and is to stay alive, or to be alive at this server. */
  readonly agentVersion: string | undefined;
  /** With it: largest packet of the device with the underlay address; null: not known. */
  readonly underlayMtu: number | null;
  /** With it: its interfaces on physical networks. */
  readonly bridgeMappings: Host['bridge_mappings'];
  /** With it: what ports may be promised there. */
  readonly bandwidth: Host['bandwidth'];
  /** With it: the zone that it is in. */
  readonly availabilityZone: string;
  /** With it: the Kubernetes cluster that it is of; null: none. */
  readonly cluster: string | null;
  /** With it: what it can do that older ones cannot. */
  readonly features: Host['features'];
};

/** What an agent tells of itself and the host's row says. */
export type Told = Pick<
  Entry,
  'underlayMtu' | 'bridgeMappings' | 'bandwidth' | 'availabilityZone' | 'cluster' | 'features'
> & {
  readonly underlay: string;
  readonly agentVersion: string;
};

/** A transaction's part. */
export type EntryPlan = { readonly compares: readonly Compare[]; readonly ops: readonly Op[] };

export type PlanContext = {
  readonly hasStream: (host: string) => boolean;
  /** The put of the `alive` key; `before`: what stands there. Called for an entry that is let in alone. */
  readonly aliveOp: (entry: Entry, before: AliveRow | undefined) => Op;
  readonly now: () => Date;
};

/** What stands in the store, each with the revision of its last write; undefined: absent. */
type Known = {
  readonly host: { readonly row: Host; readonly revision: number } | undefined;
  readonly alive: { readonly row: AliveRow; readonly revision: number } | undefined;
};

/** Plans from the tables; undefined: they do not tell enough, the store must be asked. Throws as `admit` and `superseded` say. */
export function planFromTables(
  tables: Pick<Tables, 'of' | 'modRevision'>,
  context: PlanContext,
  entry: Entry,
): EntryPlan | undefined {
  const { host: name, identity } = entry;
  const row = tables.of('host').get(name);
  // Whether a rename goes on is the store's to say.
  if (row !== undefined && (renamedTo(row) ?? renamedFrom(row)) !== undefined) return undefined;
  const aliveRow = tables.of('alive').get(name);
  const known: Known = {
    host: row === undefined ? undefined : { row, revision: tables.modRevision('host', name) ?? 0 },
    alive: aliveRow === undefined ? undefined : { row: aliveRow, revision: tables.modRevision('alive', name) ?? 0 },
  };
  if (
    tables
      .of('host')
      .by('underlay', identity.underlay)
      .some((other) => other.id !== name)
  )
    return undefined;
  const key = underlayKey(identity.underlay);
  const claim: EntryPlan =
    row?.underlay === identity.underlay
      ? { compares: [{ kind: 'value', key, value: name }], ops: [] }
      : { compares: [{ kind: 'absent', key }], ops: [{ kind: 'put', key, value: name }] };
  return plan(context, entry, known, claim);
}

/** Plans from the store itself, which costs some reads. Throws also `UnderlayAddressInUse` and `HostBeingRenamed`. */
export async function planFromStore(store: Pick<Store, 'get'>, context: PlanContext, entry: Entry): Promise<EntryPlan> {
  const { host: name, identity } = entry;
  const host = await store.get(objectKey('host', name));
  const alive = await store.get(aliveKey(name));
  const aliveRow = alive === undefined ? undefined : parseRuntime(`alive/${name}`, alive.value)?.row;
  const known: Known = {
    host: host === undefined ? undefined : { row: parseHost(host.value), revision: host.modRevision },
    alive:
      alive === undefined || aliveRow === undefined
        ? undefined
        : { row: aliveRow as unknown as AliveRow, revision: alive.modRevision },
  };
  const renaming = known.host === undefined ? NOTHING : await planRenamed(store, known.host.row);
  const { compares, ops } = plan(context, entry, known, await planClaim(store, name, identity.underlay));
  return { compares: [...compares, ...renaming], ops };
}

const NOTHING: readonly Compare[] = [];

const HOST = BUILT_IN_RESOURCES.find(({ type }) => type === 'host') as ResourceModel;

function parseHost(text: string): Host {
  const host = parseObject(HOST, text);
  if (host === undefined) throw new Error(`a stored host is not readable: ${text.slice(0, 100)}`);
  return host as unknown as Host;
}

/** What must stay so of a host that an old rename has left over. Throws `HostBeingRenamed` when it is in a rename, or its address is another host's. */
async function planRenamed(store: Pick<Store, 'get'>, host: Host): Promise<readonly Compare[]> {
  const to = renamedTo(host);
  if (to !== undefined) throw beingRenamed(host.id, to);
  const from = renamedFrom(host);
  if (from === undefined) return NOTHING;
  const old = await store.get(objectKey('host', from));
  if (old !== undefined && isExplainedBy(parseHost(old.value), host)) throw beingRenamed(from, host.id);
  const claim = await store.get(underlayKey(host.underlay));
  const holder = claim === undefined ? undefined : await store.get(objectKey('host', claim.value));
  if (claim !== undefined && holder !== undefined && parseHost(holder.value).underlay === host.underlay) {
    throw leftOver(host.id, { kind: 'left-over', from, holder: claim.value });
  }
  return [{ kind: 'modRevision', key: objectKey('host', from), revision: old?.modRevision ?? 0 }];
}

function plan(context: PlanContext, entry: Entry, known: Known, claim: EntryPlan): EntryPlan {
  const { host: name, identity } = entry;
  const aliveCompare: Compare = { kind: 'modRevision', key: aliveKey(name), revision: known.alive?.revision ?? 0 };
  if (entry.agentVersion === undefined) {
    if (known.alive !== undefined && known.alive.row.session !== identity.session)
      throw superseded(name, identity.session);
    const alive = context.aliveOp(entry, known.alive?.row);
    // As it is: it may be being renamed by now.
    const key = objectKey('host', name);
    const there: Compare =
      known.host === undefined ? { kind: 'exists', key } : { kind: 'modRevision', key, revision: known.host.revision };
    return { compares: [there, aliveCompare], ops: [alive] };
  }
  if (known.alive !== undefined) {
    const facts = { hasStream: context.hasStream(name), holderUnderlay: known.host?.row.underlay };
    admit(name, identity, known.alive.row, facts);
  }
  const host = planHost(context, entry, entry.agentVersion, known.host);
  return {
    compares: [...host.compares, ...claim.compares, aliveCompare],
    ops: [...host.ops, ...claim.ops, context.aliveOp(entry, known.alive?.row)],
  };
}

/** The host itself: written only when something of it is new. A host that moves gives its old address free. */
function planHost(context: PlanContext, entry: Entry, agentVersion: string, known: Known['host']): EntryPlan {
  const { host: name, identity } = entry;
  const { underlay } = identity;
  const { underlayMtu, bridgeMappings, bandwidth, availabilityZone, cluster, features } = entry;
  const key = objectKey('host', name);
  const before = known?.row;
  const compares: Compare[] = [{ kind: 'modRevision', key, revision: known?.revision ?? 0 }];
  const isLeftOver = before !== undefined && renamedFrom(before) !== undefined;
  if (
    !isLeftOver &&
    before !== undefined &&
    isAsTold(before, {
      underlay,
      underlayMtu,
      bridgeMappings,
      bandwidth,
      availabilityZone,
      cluster,
      features,
      agentVersion,
    })
  ) {
    return { compares, ops: [] };
  }
  const at = `${context.now().toISOString().slice(0, 19)}Z`;
  const host: Host = {
    id: name,
    underlay,
    underlay_mtu: underlayMtu,
    bridge_mappings: bridgeMappings,
    bandwidth,
    gateway: before?.gateway ?? true,
    admin_state_up: before?.admin_state_up ?? true,
    description: before?.description ?? '',
    availability_zone: availabilityZone,
    cluster,
    features,
    agent_version: agentVersion,
    created_at: before?.created_at ?? at,
    updated_at: at,
  };
  const ops: Op[] = [putObject('host', host)];
  // One that was left over has no claim.
  if (!isLeftOver && before !== undefined && before.underlay !== underlay) {
    const old = underlayKey(before.underlay);
    compares.push({ kind: 'value', key: old, value: name });
    ops.push({ kind: 'delete', key: old });
  }
  return { compares, ops };
}

/** Whether the host's row says what an agent tells of itself. A row of before hosts told their MTU has none. */
export function isAsTold(row: Host, told: Told): boolean {
  return (
    row.underlay === told.underlay &&
    (row.underlay_mtu ?? null) === told.underlayMtu &&
    JSON.stringify(row.bridge_mappings ?? {}) === JSON.stringify(told.bridgeMappings) &&
    JSON.stringify(row.bandwidth ?? {}) === JSON.stringify(told.bandwidth) &&
    (row.availability_zone ?? DEFAULT_ZONE) === told.availabilityZone &&
    (row.cluster ?? null) === told.cluster &&
    JSON.stringify(row.features ?? []) === JSON.stringify(told.features) &&
    row.agent_version === told.agentVersion
  );
}

/** Takes the address, also from a host that has been deleted or has moved to another. */
async function planClaim(store: Pick<Store, 'get'>, name: string, underlay: string): Promise<EntryPlan> {
  const key = underlayKey(underlay);
  const claim = await store.get(key);
  const put: Op = { kind: 'put', key, value: name };
  if (claim === undefined) return { compares: [{ kind: 'absent', key }], ops: [put] };
  const compares: Compare[] = [{ kind: 'modRevision', key, revision: claim.modRevision }];
  if (claim.value === name) return { compares, ops: [] };
  const holderKey = objectKey('host', claim.value);
  const holder = await store.get(holderKey);
  if (holder === undefined) return { compares: [...compares, { kind: 'absent', key: holderKey }], ops: [put] };
  if (parseHost(holder.value).underlay === underlay) throw addressInUse(underlay, claim.value);
  compares.push({ kind: 'modRevision', key: holderKey, revision: holder.modRevision });
  return { compares, ops: [put] };
}

function addressInUse(underlay: string, holder: string): CableError {
  return new CableError('UnderlayAddressInUse', `Underlay address ${underlay} belongs to host ${holder}.`, {
    fields: { underlay, host: holder },
  });
}
