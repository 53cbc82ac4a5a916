/** What the plug-in gives, as a body of `/v2.0` has it. */
import type { Attribute, ResourceModel } from '@cable/model';
import type { DoorType } from './door-type.ts';
import { badRequest, type Fields, isFields, withoutDashes } from './envelope.ts';

const PROJECT_NAMES: readonly string[] = ['tenant_id', 'project_id'];

/** Attributes of the declaration that may be given; what neutron-server fills in for other back ends is passed over. Throws `BadRequest`. */
export function givenFields(door: DoorType, model: ResourceModel, verb: 'create' | 'update', resource: Fields): Fields {
  const { name } = door;
  const inner = unwrapped(name, resource);
  if (verb === 'create') refuseId(name, inner);
  refuse(door, inner);
  const ready = door.given === undefined ? inner : door.given(inner);
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(ready)) {
    const attribute = Object.hasOwn(model.attributes, key) ? model.attributes[key] : undefined;
    if (attribute === undefined || (attribute.write !== 'both' && attribute.write !== verb)) continue;
    if (isLeftOut(attribute, value)) continue;
    if (!PROJECT_NAMES.includes(key)) fields[key] = value;
    else if (typeof value !== 'string') throw badRequest(name, `${key} is no text`);
    else if (value !== '') fields[key] = withoutDashes(value);
  }
  return fields;
}

/** An update of a trunk comes with its name around it once more. */
function unwrapped(name: string, resource: Fields): Fields {
  const inner = Object.hasOwn(resource, name) ? resource[name] : undefined;
  return Object.keys(resource).length === 1 && isFields(inner) ? inner : resource;
}

/** Null is sent for what was not given, also where there is no such value. */
function isLeftOut({ nullable, type, default: standard }: Attribute, value: unknown): boolean {
  return value === undefined || (value === null && nullable !== true && !(type === 'list' && Array.isArray(standard)));
}

function refuseId(name: string, { id }: Fields): void {
  if (id === undefined || id === null) return;
  throw badRequest(name, 'id cannot be chosen: leave it out');
}

function refuse({ name, refuses = {} }: DoorType, given: Fields): void {
  for (const [key, reason] of Object.entries(refuses)) {
    const value = given[key];
    const isEmpty =
      value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) throw badRequest(name, `${key}: ${reason}`);
  }
}
