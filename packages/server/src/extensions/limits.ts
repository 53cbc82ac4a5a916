/**
 * What an extension that comes and goes at run time may not do to types of others. Keys that objects have beside their own must be made by every server that writes
 * the objects. A type of such an extension has a key that sees to that; a type of Cable's own is written by servers that have no extension, too.
 */
import type { Attribute, Registry } from '@cable/model';
import type { LoadedExtension } from './extension.ts';

/** What makes keys. */
const KEY_MAKERS = ['claims', 'marks', 'references'] as const;

/** What of an attribute says how it is stored. */
const STORED_FIELDS = ['type', 'items', 'properties', 'reference', 'computed', 'aliasOf'] as const;

/** What is wrong, and what to do; undefined: nothing. `keyedTypes`: stored types of extensions at run time. */
export function limitProblem(
  { declaration, contributions = {} }: LoadedExtension,
  { models }: Registry,
  keyedTypes: ReadonlyMap<string, string>,
): string | undefined {
  const types = new Map(models.map((model) => [model.type, model]));
  for (const [type, one] of Object.entries(contributions)) {
    if (!types.has(type))
      return `contributions name the type ${type}, which is not there. Load what brings it, or correct it.`;
    const maker = KEY_MAKERS.find((name) => one[name] !== undefined);
    if (maker === undefined || keyedTypes.has(type)) continue;
    return `contributions.${type}.${maker}: ${type} is no type of an extension, and servers without this one write it too. Claim it by an object of a type that the extension brings.`;
  }
  for (const [type, attributes] of Object.entries(declaration.attributes ?? {})) {
    if (keyedTypes.has(type)) continue;
    for (const [name, attribute] of Object.entries(attributes)) {
      const target = targetsOf(attribute).find((one) => !keyedTypes.has(one));
      if (target === undefined) continue;
      return `attribute ${name} of ${type}: it refers to ${target}, and servers without this extension would leave that reference undone. Refer to a type that the extension brings, or store the id without a reference.`;
    }
  }
  for (const [type, changes] of Object.entries(declaration.changes ?? {})) {
    for (const [name, change] of Object.entries(changes)) {
      const field = STORED_FIELDS.find((one) => change[one] !== undefined);
      if (field !== undefined)
        return `changes of ${type}.${name}: ${field} says how it is stored, which stays. Leave it out, or add an attribute.`;
    }
  }
  return undefined;
}

function targetsOf(attribute: Attribute): readonly string[] {
  const inner = [attribute.items, ...Object.values(attribute.properties ?? {})].filter((one) => one !== undefined);
  return [...(attribute.reference === undefined ? [] : [attribute.reference.type]), ...inner.flatMap(targetsOf)];
}
