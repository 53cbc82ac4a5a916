/** An object as a plug-in is told of it: as Neutron's API shows it to an administrator, without what is made of other objects. */

import { type AnyObject, CableError, type ResourceModel } from '@cable/model';
import type { ResourceName } from '@cable/plugin/contract';
import type { EngineDeps } from '../engine/context.ts';
import type { Look } from '../engine/view.ts';

/** The object as it is told. A group has its rules in it. */
export function toldObject(
  { resources }: Pick<EngineDeps, 'resources'>,
  look: Pick<Look, 'by'>,
  resource: ResourceName,
  row: AnyObject,
): AnyObject {
  const told = shownPart(resources.named(resource), row);
  if (resource !== 'security_group') return told;
  const model = resources.named('security_group_rule');
  const rules = look.by('security_group_rule', 'security_group_id', row.id) as unknown as readonly AnyObject[];
  return { ...told, security_group_rules: rules.map((rule) => shownPart(model, rule)) };
}

function shownPart({ attributes, storedAttributes }: ResourceModel, row: AnyObject): AnyObject {
  const names = Object.keys(storedAttributes).filter((name) => attributes[name] !== undefined);
  return Object.fromEntries([['id', row.id], ...names.map((name) => [name, row[name]])]) as AnyObject;
}

/** For a plug-in that does not answer. */
export function unavailable(name: string, why: string): CableError {
  return new CableError('BackendUnavailable', `The plug-in ${name} does not answer: ${why}.`, {
    detail: `Nothing was written. cable plugin show ${name} says since when, cable plugin test ${name} asks it again.`,
    fields: { plugin: name },
  });
}
