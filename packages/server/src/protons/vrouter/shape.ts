/** What back ends look for in models: objects by kind and attributes, never by name. Pure. */
import type { DeclaredObject, ProtonAttribute } from '@cable/proton';

/** The one object that fits; several: the first. Undefined: none. */
export function objectWith(
  declared: readonly DeclaredObject[],
  kind: DeclaredObject['object']['kind'],
  ...attributes: readonly string[]
): DeclaredObject | undefined {
  return declared.find(
    (one) => one.object.kind === kind && attributes.every((name) => attributeOf(one, name) !== undefined),
  );
}

export function attributeOf({ object }: DeclaredObject, name: string): ProtonAttribute | undefined {
  return object.attributes.find((one) => one.name === name);
}

/** The attributes by which an object refers to another one. */
export function refsTo({ object }: DeclaredObject, target: DeclaredObject | undefined): readonly string[] {
  return object.attributes.flatMap(({ name, ref }) =>
    target !== undefined && ref?.object === target.object.name ? [name] : [],
  );
}
