import { randomBytes } from 'node:crypto';
import type { Store } from '@cable/store';
import { ID_SECRET } from '../keys.ts';

const BYTES = 32;

/**
 * The store's secret, of which ids are made that a request says (`repeatableId`): 32 bytes, made once; all servers have the same. Without it whoever sends requests could look beforehand for
 * a key that gives the id he wants, as one whose first characters are those of somebody's port, by which a host names devices.
 */
export async function ensureIdSecret(store: Pick<Store, 'get' | 'txn'>): Promise<Buffer> {
  const made = randomBytes(BYTES).toString('base64');
  if ((await store.get(ID_SECRET)) === undefined)
    await store.txn([{ kind: 'absent', key: ID_SECRET }], [{ kind: 'put', key: ID_SECRET, value: made }]);
  const there = await store.get(ID_SECRET);
  const secret = Buffer.from(there?.value ?? '', 'base64');
  if (secret.length !== BYTES) throw new Error(`${ID_SECRET} of the store is not ${BYTES} bytes in base64`);
  return secret;
}
