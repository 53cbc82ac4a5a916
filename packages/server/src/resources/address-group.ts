/** Address groups: their addresses, and who may not lose them. */
import { type Attributes, showObject } from '@cable/api';
import { type AddressGroup, type AnyObject, CableError } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { notFound, present } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { inUse } from './rbac-policy.ts';
import { checkUnshared, FOREIGN, type Sharing } from './sharing.ts';

const TYPE = 'address_group';

/** Most addresses of a group: hosts are told of all of them when one changes. */
const ADDRESSES_MAX = 4096;

type Addresses = AddressGroup['addresses'];

/** Address groups. */
export const addressGroupModule: Contribution<AnyObject> = {
  ...contribute<AddressGroup>({
    check: (view, group, before) => checkUnshared(view, SHARING, group, before),
    inUse: ({ id }, holder) =>
      holder === 'security_group_rule'
        ? new CableError('InUse', `Address group ${id} is in use on one or more security group rules.`, {
            label: 'AddressGroup',
          })
        : undefined,
  }),
  actions: {
    add_addresses: onAddresses('add_addresses', added),
    remove_addresses: onAddresses('remove_addresses', removed),
  },
};

const SHARING: Sharing<AddressGroup> = {
  list: 'shared_with',
  kind: FOREIGN,
  users: (look, { id }) => look.by('security_group_rule', 'remote_address_group_id', id).map((rule) => rule.project_id),
  refused: ({ id }) => inUse(id, 'rules of security groups of other projects name the address group'),
};

function onAddresses(action: string, change: (group: AddressGroup, given: Addresses) => Addresses): ActionHandler {
  return async (deps, id, body: Attributes, asked) => {
    const resource = deps.resources.named(TYPE);
    const build = (planning: Planning): AnyObject => {
      permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action }));
      const group = planning.plan.get(TYPE, id);
      if (group === undefined) throw notFound(resource, id);
      const addresses = change(group, (body['addresses'] ?? []) as Addresses);
      if (addresses.length > ADDRESSES_MAX) throw tooMany(id);
      return planUpdate(planning, resource, group, { addresses });
    };
    const written = await deps.lock.run([objectKey(TYPE, id)], asked, () => transact(deps, asked, build));
    return showObject(resource, present(deps, resource, written, readerOf(deps, asked.credentials)), new Set());
  };
}

function added({ id, addresses }: AddressGroup, given: Addresses): Addresses {
  const known = given.filter((one) => addresses.includes(one));
  if (known.length === 0) return [...addresses, ...given];
  throw new CableError(
    'AddressesAlreadyExist',
    `Addresses ${asPython(known)} already exist in the address group ${id}.`,
  );
}

function removed({ id, addresses }: AddressGroup, given: Addresses): Addresses {
  const unknown = given.filter((one) => !addresses.includes(one));
  if (unknown.length === 0) return addresses.filter((one) => !given.includes(one));
  throw new CableError('AddressesNotFound', `Addresses ${asPython(unknown)} not found in the address group ${id}.`);
}

function tooMany(id: string): CableError {
  return new CableError('HTTPConflict', `Address group ${id} would have more than ${ADDRESSES_MAX} addresses.`, {
    detail: 'Give prefixes in place of single addresses, or name a second group in a rule of its own.',
  });
}

/** The first twenty, spelled as Python does a list. */
function asPython(addresses: readonly string[]): string {
  const shown = addresses.slice(0, 20).map((one) => `'${one}'`);
  return `[${shown.join(', ')}]`;
}
