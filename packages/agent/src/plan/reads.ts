import { indexRead, type ReadKey, rowRead } from '@cable/kit';
import type { SliceKind } from '@cable/model';
import type { Topic } from './topics.ts';
import type { NumberedTopic } from './unit.ts';

/** What units read, by name: what the planner keeps dependents of. */

export function headerRead(kind: SliceKind, id: string): ReadKey {
  return rowRead(`${kind}:${id}`, '');
}

export function itemRead(kind: SliceKind, id: string, item: string): ReadKey {
  return rowRead(`${kind}:${id}`, item);
}

/** All items of a slice. */
export function itemsRead(kind: SliceKind, id: string): ReadKey {
  return indexRead(`${kind}:${id}`, 'items', '');
}

/** The facts of a topic under a key. */
export function factsRead(topic: Topic, key: string): ReadKey {
  return indexRead('facts', topic, key);
}

export function deviceRead(name: string): ReadKey {
  return rowRead('device', name);
}

export function numberRead(topic: NumberedTopic, key: string): ReadKey {
  return indexRead('number', topic, key);
}

/** Whether the policy fits the host. */
export function admissionRead(policy: string): ReadKey {
  return rowRead('admission', policy);
}
