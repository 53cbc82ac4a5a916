import type { AnyObject } from '@cable/model';
import type { Op } from '@cable/store';
import { objectKey } from '../keys.ts';

/** Writes the object as it is, without its derived keys: for changes of the store's form, which makes those anew. */
export function putObject(type: string, object: AnyObject): Op {
  return { kind: 'put', key: objectKey(type, object.id), value: JSON.stringify(object) };
}
