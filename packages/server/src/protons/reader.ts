/** Rows of protons as what is loaded. What makes it of the models is loaded with the first proton. */
import type { Logger } from '@cable/kit';
import type { ReadProtons } from '../extensions/loader.ts';
import type { LoadedProtonExtension } from '../extensions/loadout.ts';
import { protonRow } from './proton-row.ts';

/** What cannot be loaded is left out, and logged: its paths are not there, on this server. */
export function createProtonReader(log: Logger): ReadProtons {
  let known: ReadonlyMap<string, LoadedProtonExtension> = new Map();
  return async (rows) => {
    const all = [...rows].map(protonRow);
    if (all.length === 0) return [];
    const { composeProton } = await import('./compose.ts');
    const made = new Map<string, LoadedProtonExtension>();
    for (const row of all) {
      const key = `${row.id} ${row.digest}`;
      try {
        // What is made of the same is the same value: what rests on it need not be looked at again.
        made.set(key, known.get(key) ?? composeProton(row));
      } catch (err) {
        log.error({ proton: row.id, err }, 'a proton cannot be loaded by this server');
      }
    }
    known = made;
    return [...made.values()];
  };
}
