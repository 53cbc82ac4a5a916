/** Segments: networks in other words. A network has one for as long as it is there. */
import type { IndexMaker } from '@cable/kit';
import { type AnyObject, CableError, type Network, type Subnet } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { SEGMENT_TEXTS } from '../engine/hidden.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { namedId } from '../engine/new-id.ts';
import { permit } from '../engine/permission.ts';
import { notFound } from '../engine/read.ts';
import { planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import type { Tables } from '../tables.ts';

const TYPE = 'segment';

const OF_NETWORK = 'segment';

const REMEDY = 'Make a network for each segment, and connect them by a router.';

/** What people say of it. */
type Texts = { readonly name?: string | null; readonly description?: string | null };

/** Index of tables: a network by its segment. */
export const SEGMENT_INDEX: Readonly<Record<string, IndexMaker<AnyObject>>> = {
  [OF_NETWORK]: ({ id }) => [segmentId(id)],
};

/** Segments are shown of networks; a second one would be a bridge between two that nothing here makes. */
export const segmentModule: Contribution<AnyObject> = {
  rows: (tables, filters) => {
    const valuesOf = (name: string): readonly string[] | undefined => {
      const filter = filters.find(({ attribute, substring }) => attribute === name && !substring);
      return filter && [...new Set(filter.values)];
    };
    const networks = tables.of('network');
    const found =
      valuesOf('id')?.map((id) => networkOf(tables, id)) ?? valuesOf('network_id')?.map((id) => networks.get(id));
    return (found ?? [...networks.values()]).flatMap((one) => (one === undefined ? [] : [segmentOfNetwork(one)]));
  },
  derive: ({ plan, deps }, { network_id }) => {
    const id = String(network_id);
    if (plan.get('network', id) === undefined) throw notFound(deps.resources.named('network'), id);
    throw new CableError('HTTPBadRequest', `Network ${id} has a segment, and no network has several.`, {
      detail: REMEDY,
    });
  },
  instead: {
    update: (deps, id, changes, asked) =>
      onNetwork(deps, id, asked, (planning, network) => {
        permit(planning, deps.resources.named(TYPE), id, {
          verb: 'update',
          before: segmentOfNetwork(network),
          changes,
        });
        const texts = { ...textsOf(network), ...changes };
        const after = planUpdate(planning, deps.resources.named('network'), network as unknown as AnyObject, {
          [SEGMENT_TEXTS]: texts,
        });
        return segmentOfNetwork(after as unknown as Network);
      }),
    remove: (deps, id, asked) =>
      onNetwork(deps, id, asked, (planning, network) => {
        permit(planning, deps.resources.named(TYPE), id, { verb: 'delete', before: segmentOfNetwork(network) });
        throw new CableError(
          'SegmentInUse',
          `Segment '${id}' cannot be deleted: it is the only one of network ${network.id}.`,
        );
      }),
  },
};

/** One transaction on the network of the segment. Throws `SegmentNotFound`. */
function onNetwork<T>(
  deps: EngineDeps,
  id: string,
  asked: Asked,
  act: (planning: Planning, network: Network) => T,
): Promise<T> {
  const known = networkOf(deps.tables, id)?.id ?? '';
  return deps.lock.run([objectKey('network', known)], asked, () =>
    transact(deps, asked, (planning) => {
      const network = planning.plan.by('network', OF_NETWORK, id)[0];
      if (network === undefined) throw notFound(deps.resources.named(TYPE), id);
      return act(planning, network);
    }),
  );
}

/** Always the same of a network. */
function segmentId(networkId: string): string {
  return namedId(TYPE, networkId);
}

function networkOf(tables: Tables, id: string): Network | undefined {
  return tables.of('network').by(OF_NETWORK, id)[0];
}

function textsOf(network: Network): Texts {
  return ((network as AnyObject)[SEGMENT_TEXTS] ?? {}) as Texts;
}

function segmentOfNetwork(network: Network): AnyObject {
  const { name = null, description = null } = textsOf(network);
  return {
    id: segmentId(network.id),
    ...{ name, description },
    network_id: network.id,
    network_type: network['provider:network_type'],
    physical_network: network['provider:physical_network'],
    segmentation_id: network['provider:segmentation_id'],
    ...{ created_at: network.created_at, updated_at: network.updated_at },
    revision_number: network.revision_number,
  };
}

/** A list of segments stands for `provider:*`. */
export const networkSegmentsModule: Contribution<AnyObject> = contribute<Network>({
  derive: (_planning, given) => {
    const segments = (given as { readonly segments?: readonly Partial<Network>[] | null }).segments ?? [];
    const [only, ...more] = segments;
    if (only === undefined) return {};
    if (saysHow(given)) {
      throw new CableError('SegmentsSetInConjunctionWithProviders', 'Segments and provider values cannot both be set.');
    }
    if (more.length > 0) {
      throw new CableError(
        'InvalidInput',
        `Invalid input for operation: segments: a network has one segment here, and ${segments.length} were given.`,
        { detail: REMEDY },
      );
    }
    return Object.fromEntries(Object.entries(only).filter(([, value]) => value !== null && value !== ''));
  },
  change: (_planning, before, _after, { segments }) => {
    if (!Array.isArray(segments) || segments.every((one) => saysSame(before, one as Partial<Network>))) return {};
    throw new CableError(
      'InvalidInput',
      'Invalid input for operation: segments: how a network is carried does not change.',
      { detail: REMEDY },
    );
  },
  present: () => ({ l2_adjacency: true }),
});

/** True: it was given what is not the default. */
function saysHow(given: Partial<Network>): boolean {
  const { 'provider:network_type': type, 'provider:physical_network': physical } = given;
  return (type ?? 'vxlan') !== 'vxlan' || (physical ?? given['provider:segmentation_id'] ?? null) !== null;
}

function saysSame(network: Network, segment: Partial<Network>): boolean {
  const said = Object.entries(segment).filter(([, value]) => value !== null && value !== '');
  return said.every(([name, value]) => (network as AnyObject)[name] === value);
}

/** A subnet is of the whole network. */
export const subnetSegmentModule: Contribution<AnyObject> = contribute<Subnet>({
  derive: ({ plan }, { segment_id: id }) => {
    if (id === undefined || id === null) return {};
    const [network] = plan.by('network', OF_NETWORK, id);
    if (network === undefined)
      throw new CableError('NotFound', `Segment ${id} could not be found.`, { label: 'Segment' });
    throw new CableError(
      'HTTPBadRequest',
      'Invalid input for segment_id. Reason: there are no routed networks, and the subnets of a network are of all of it.',
      { detail: 'Leave segment_id out; for addresses that differ by segment, make a network for each.' },
    );
  },
});
