import type { Slice, SliceKey, WatchLine } from '@cable/model';
import { shareStructure } from './share.ts';

/** The slices of this host as of one revision: never a part of a change. */
export type HostState = {
  /** 0: nothing has ever been received. */
  readonly revision: number;
  readonly slices: ReadonlyMap<SliceKey, Slice>;
  /** True once this process was in sync with the server: only then is the state known to be whole and recent. */
  readonly synced: boolean;
};

export const NO_STATE: HostState = { revision: 0, slices: new Map(), synced: false };

/** Collects the lines of one connection into host states. */
export type StateCollector = {
  /** Takes a line; a state when the line completes one. */
  take(line: WatchLine): HostState | undefined;
};

/** Continues from `base`. Lines of an earlier connection that completed nothing are forgotten: the server sends them again. */
export function collectStates(base: HostState): StateCollector {
  const slices = new Map(base.slices);
  let synced = false;
  return {
    take: (line) => {
      switch (line.type) {
        case 'put':
          slices.set(line.key, shareStructure(slices.get(line.key), line.slice));
          return undefined;
        case 'delete':
          slices.delete(line.key);
          return undefined;
        case 'sync': {
          const keys = new Set(line.keys);
          for (const key of slices.keys()) if (!keys.has(key)) slices.delete(key);
          synced = true;
          return { revision: line.revision, slices: new Map(slices), synced };
        }
        case 'bookmark':
          return synced ? { revision: line.revision, slices: new Map(slices), synced } : undefined;
      }
    },
  };
}
