/** The default security group rules that every cloud begins with. */
import type { Op, Store } from '@cable/store';
import { FIRST_RULES } from '../keys.ts';
import { putObject } from '../object-text.ts';
import { STANDARD_RULES } from '../resources/default-security-group-rule.ts';
import { complete } from './complete.ts';
import type { EngineDeps } from './context.ts';
import { type Addresses, lookAt } from './plan.ts';

const TYPE = 'default_security_group_rule';

/** How long the tables may take to have them. */
const TABLES_MS = 5000;

type Deps = Pick<EngineDeps, 'tables' | 'resources' | 'keys' | 'newId'> & {
  readonly addresses: Addresses;
  readonly store: Pick<Store, 'get' | 'txn'>;
};

/** Makes them in a store that never had them; what an administrator has deleted stays deleted. Any number of servers may do it at once. */
export async function ensureFirstRules({ store, tables, resources, keys, addresses, newId }: Deps): Promise<void> {
  const resource = resources.find(TYPE);
  if (resource === undefined || (await store.get(FIRST_RULES)) !== undefined) return;
  const look = lookAt({ tables, addresses });
  const ops = STANDARD_RULES.flatMap((rule): readonly Op[] => {
    const object = complete(resource, { ...rule, id: newId() });
    const own = [...keys.keysOf(TYPE, object, look)].map(([key, { value }]): Op => ({ kind: 'put', key, value }));
    return [putObject(TYPE, object), ...own];
  });
  const { revision } = await store.txn(
    [{ kind: 'absent', key: FIRST_RULES }],
    [...ops, { kind: 'put', key: FIRST_RULES, value: '' }],
  );
  await tables.waitFor(revision, TABLES_MS);
}
