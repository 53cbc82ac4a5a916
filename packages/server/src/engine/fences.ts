/** What holds writes of a type that came by a proton to the proton as it is: `GET /cable/v1/protons`. */
import type { AnyObject } from '@cable/model';
import type { Compare } from '@cable/store';
import { objectKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import type { ResourceRegistry } from './registry.ts';

/** The type of protons. */
export const PROTON = 'proton';

/** What is being done to a proton. Nothing else is written to its types until it is done, or over. */
export type ProtonChange = {
  /** Of who does it. */
  readonly id: string;
  /** Time (UTC, ISO 8601). */
  readonly until: string;
};

/** Thrown when a proton is about to be another one, or is one that this server has not loaded yet. Nothing was written: wait a little, and plan anew. */
export class ProtonBusy extends Error {
  constructor(name: string) {
    super(`the proton ${name} is being changed`);
    this.name = 'ProtonBusy';
  }
}

type Fence = Extract<Compare, { readonly kind: 'modRevision' }>;

/**
 * The compare that each write of a type rests on: that the row of its proton is as this server has loaded it. So a server that is behind writes nothing that
 * the others would have refused, and who changes a proton knows, once its row is written, that no write by what was before comes any more.
 */
export class Fences {
  readonly #resources: Pick<ResourceRegistry, 'current'>;
  readonly #tables: Pick<Tables, 'any' | 'modRevision'>;

  constructor(resources: Pick<ResourceRegistry, 'current'>, tables: Pick<Tables, 'any' | 'modRevision'>) {
    this.#resources = resources;
    this.#tables = tables;
  }

  /** Undefined: the type is of no proton. `leads`: id of the change that the writer makes itself. Throws `ProtonBusy`. */
  of(type: string, leads: string | undefined): Fence | undefined {
    const loaded = this.#resources.current.protonOf(type);
    if (loaded === undefined) return undefined;
    const { name, digest } = loaded;
    const row = this.#tables.any(PROTON).get(name);
    if (row?.['digest'] !== digest) throw new ProtonBusy(name);
    const change = changeOf(row);
    // One that is over, too: it is ended first, so that who began it finds his row overwritten.
    if (change !== null && change.id !== leads) throw new ProtonBusy(name);
    return { kind: 'modRevision', key: objectKey(PROTON, name), revision: this.#tables.modRevision(PROTON, name) ?? 0 };
  }
}

/** Null: nothing is done to it. */
export function changeOf(row: AnyObject): ProtonChange | null {
  return (row['change'] as ProtonChange | null | undefined) ?? null;
}

/** True: who began it is gone, or was too slow. */
export function isOver({ until }: ProtonChange, now: Date): boolean {
  return Date.parse(until) <= now.getTime();
}
