/** The ranges of VNIs and VLANs that the server's options give, as rows. */
import type { NetworkSegmentRange } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { objectKey } from '../keys.ts';
import { putObject } from '../object-text.ts';
import { SEGMENT_RANGE } from '../resources/segment-ranges.ts';
import { complete } from './complete.ts';
import type { DefaultRanges, EngineDeps } from './context.ts';
import { namedId } from './new-id.ts';

/** Without options: every VNI, and no VLAN. */
export const EVERY_VNI: DefaultRanges = [{ type: 'vxlan', physical: null, minimum: 1, maximum: 16_777_215 }];

/** How long the tables may take to have them, and how often it is tried: other servers may do the same. */
const TABLES_MS = 5000;
const TRIES = 10;

type Deps = Pick<EngineDeps, 'tables' | 'resources' | 'settings' | 'now' | 'log'> & {
  readonly store: Pick<Store, 'txn'>;
};

/**
 * Makes those that are not there and deletes those that no option gives any more, as Neutron does at its start: the server that was started last decides. They have no
 * keys besides their own.
 */
export async function ensureDefaultRanges(deps: Deps): Promise<void> {
  const { store, tables, resources, log } = deps;
  if (resources.find(SEGMENT_RANGE) === undefined) return;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const wanted = new Map(wantedRows(deps).map((row) => [row.id, row]));
    const known = [...tables.of(SEGMENT_RANGE).values()].filter((one) => one.default);
    const gone = known.filter(({ id }) => !wanted.has(id));
    for (const { id } of known) wanted.delete(id);
    if (gone.length === 0 && wanted.size === 0) return;
    const isFirst = known.length === 0;
    if (!isFirst) {
      log.warn(
        { made: wanted.size, deleted: gone.length },
        'default ranges of segments are now as this server has them',
      );
    }
    const keys = [...wanted.keys(), ...gone.map(({ id }) => id)].map((id) => objectKey(SEGMENT_RANGE, id));
    const compares = keys.map((key, at): Compare => {
      return at < wanted.size ? { kind: 'absent', key } : { kind: 'exists', key };
    });
    const puts = [...wanted.values()].map((row) => putObject(SEGMENT_RANGE, row));
    const deletes = gone.map(({ id }): Op => ({ kind: 'delete', key: objectKey(SEGMENT_RANGE, id) }));
    const { ok, revision } = await store.txn(compares, [...puts, ...deletes]);
    await tables.waitFor(revision, TABLES_MS);
    if (ok) return;
  }
  log.warn({}, 'other servers keep changing the default ranges of segments: give all of them the same options');
}

function wantedRows({ resources, settings, now }: Deps): readonly NetworkSegmentRange[] {
  const resource = resources.named(SEGMENT_RANGE);
  const at = `${now().toISOString().slice(0, 19)}Z`;
  const { segmentRanges = EVERY_VNI } = settings;
  return segmentRanges.map(({ type, physical, minimum, maximum }) => {
    const place = { network_type: type, physical_network: physical, minimum, maximum };
    const standard = { created_at: at, updated_at: at, revision_number: 1 };
    const id = namedId('segment range', Object.values(place).join(' '));
    return complete(resource, {
      ...{ id, ...place, ...standard },
      default: true,
      shared: true,
    }) as unknown as NetworkSegmentRange;
  });
}
