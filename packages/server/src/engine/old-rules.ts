/** Security group rules of before that were taken for different ones, and are the same: any prefix and none, all ports and none. */
import type { AnyObject } from '@cable/model';
import type { Op } from '@cable/store';
import { putObject } from '../object-text.ts';
import { RULE_MEANING_INDEX } from '../resources/security-group-rule.ts';
import type { EngineDeps } from './context.ts';
import { REPEATS } from './hidden.ts';

const TYPE = 'security_group_rule';

/** The oldest of those that say the same has the claim; the others stay, and are marked, one at a time. */
export function* repeatedRules({
  tables,
  resources,
}: Pick<EngineDeps, 'tables' | 'resources'>): Iterable<readonly Op[]> {
  if (resources.find(TYPE) === undefined) return;
  const first = new Map<string, AnyObject>();
  const repeated: AnyObject[] = [];
  for (const rule of tables.any(TYPE).values()) {
    const meaning = Object.values(RULE_MEANING_INDEX)
      .flatMap((keysOf) => [...keysOf(rule)])
      .join();
    const known = first.get(meaning);
    if (known === undefined) first.set(meaning, rule);
    else if (isOlder(rule, known)) {
      first.set(meaning, rule);
      repeated.push(known);
    } else repeated.push(rule);
  }
  for (const rule of repeated) {
    yield [putObject(TYPE, { ...rule, [REPEATS]: true })];
  }
}

/** One that was marked before a server died stays marked. */
function isOlder(a: AnyObject, b: AnyObject): boolean {
  const place = (one: AnyObject): string => `${one[REPEATS] === true} ${one['created_at']} ${one.id}`;
  return place(a) < place(b);
}
