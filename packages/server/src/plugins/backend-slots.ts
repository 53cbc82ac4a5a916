/**
 * How many objects a plug-in takes: exact, as quotas are (engine/slots.ts). Each object of a kind that it has a limit for takes one of the numbers below it, by a claim. After
 * the limit was lowered, or first said, creates meet at the plug-in's row until nobody has a number at or above the bound.
 */

import { type AnyObject, CableError, type Plugin } from '@cable/model';
import type { LimitName } from '@cable/plugin/contract';
import type { Planning } from '../engine/context.ts';
import { BACKEND_SLOT, NETWORK_SLOT } from '../engine/hidden.ts';
import type { Claim, ClaimName } from '../engine/module.ts';
import { chooseSlot } from '../engine/slots.ts';
import type { Tables } from '../tables.ts';

/** Of what so many are counted: of a plug-in, or of one of its networks. */
type Kind = {
  readonly limit: LimitName;
  readonly attribute: typeof BACKEND_SLOT | typeof NETWORK_SLOT;
  /** Attribute that says whose they are, which is indexed. */
  readonly of: 'cable:backend' | 'network_id';
};

const KINDS: Readonly<Record<string, readonly Kind[]>> = {
  network: [{ limit: 'networks', attribute: BACKEND_SLOT, of: 'cable:backend' }],
  subnet: [{ limit: 'subnets', attribute: BACKEND_SLOT, of: 'cable:backend' }],
  router: [{ limit: 'routers', attribute: BACKEND_SLOT, of: 'cable:backend' }],
  port: [
    { limit: 'ports', attribute: BACKEND_SLOT, of: 'cable:backend' },
    { limit: 'ports_per_network', attribute: NETWORK_SLOT, of: 'network_id' },
  ],
};

/** What a new object has because the plug-in has limits. Throws `BackendLimitReached`. `given`: has the attributes that say whose it is. */
export function takeBackendSlots(
  planning: Planning,
  type: string,
  given: Readonly<Record<string, unknown>>,
  plugin: Plugin,
): Readonly<Record<string, number>> {
  const taken: Record<string, number> = {};
  for (const kind of KINDS[type] ?? []) {
    const limit = plugin.limits[kind.limit];
    if (typeof limit === 'number')
      taken[kind.attribute] = takeSlot(planning, type, { kind, owner: String(given[kind.of]), limit, plugin });
  }
  return taken;
}

/** Why a plug-in takes no more networks, or routers, for people; undefined: it does, or has no limit of them. */
export function whyFull(
  tables: Pick<Tables, 'of' | 'any'>,
  name: string,
  resource: 'network' | 'router',
): string | undefined {
  const limit = tables.of('plugin').get(name)?.limits[`${resource}s`];
  if (typeof limit !== 'number' || tables.any(resource).count('cable:backend', name) < limit) return undefined;
  return `it takes ${limit} ${resource}s, and has them`;
}

type Wanted = { readonly kind: Kind; readonly owner: string; readonly limit: number; readonly plugin: Plugin };

function takeSlot({ deps, plan }: Planning, type: string, { kind, owner, limit, plugin }: Wanted): number {
  const rows = deps.tables.any(type).by(kind.of, owner);
  const held = new Set<number>();
  for (const row of rows) if (typeof row[kind.attribute] === 'number') held.add(Number(row[kind.attribute]));
  const bound = limit - (rows.length - held.size);
  const highest = held.size === 0 ? -1 : [...held].reduce((most, one) => Math.max(most, one), -1);
  const full = new CableError(
    'BackendLimitReached',
    `Plug-in ${plugin.name} takes ${limit} ${kind.limit.replaceAll('_', ' ')}, and has them.`,
    { fields: { plugin: plugin.name, limit: kind.limit } },
  );
  if (rows.length + plan.countUp(`${kind.limit} of ${owner}`) >= limit) throw full;
  // A number is held that may be one too many: of two such plans one is planned anew.
  if (highest >= bound) plan.replace('plugin', { ...plugin } as unknown as AnyObject);
  const isFree = (slot: number): boolean => !held.has(slot) && !plan.isReserved(nameOf(kind, owner, type, slot));
  const slot = chooseSlot(bound, deps.random, isFree);
  if (slot === undefined) throw full;
  plan.reserve(nameOf(kind, owner, type, slot));
  return slot;
}

/** What an object has that takes such numbers. Pure. */
export function backendSlotClaims(type: string, object: AnyObject): readonly Claim[] {
  return (KINDS[type] ?? []).flatMap((kind): readonly Claim[] => {
    const slot = object[kind.attribute];
    if (typeof slot !== 'number') return [];
    return [
      {
        ...nameOf(kind, String(object[kind.of]), type, slot),
        // Who takes one has looked at the tables; the store says the rest.
        holder: () => undefined,
        taken: () => new CableError('BackendLimitReached', `The plug-in takes no more ${kind.limit}.`),
      },
    ];
  });
}

function nameOf({ limit }: Kind, owner: string, type: string, slot: number): ClaimName {
  return { kind: 'backend_slot', value: `${limit}/${owner}/${type}/${slot}` };
}
