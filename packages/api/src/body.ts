import { type Attribute, CableError, type ResourceModel } from '@cable/model';
import { parseValue } from './value.ts';

/** Who asks. An admin may write and see everything, of every project. */
export type Caller = { readonly projectId: string; readonly isAdmin: boolean };

/** Checked attributes of a request, canonical, aliases resolved; the derived ones that the client left out are absent. */
export type Attributes = Readonly<Record<string, unknown>>;

/** The objects of a create request. `bulk`: the client sent the plural form and gets it back. */
export type CreateRequest = { readonly bulk: boolean; readonly objects: readonly Attributes[] };

/** Most objects in one bulk request. */
export const BULK_MAX = 1000;

/** Parses the body of a create. Throws `CableError` with Neutron's texts. */
export function parseCreate(resource: ResourceModel, body: unknown, caller: Caller): CreateRequest {
  if (!isRecord(body)) throw badRequest('Resource body required');
  const many = body[resource.plural];
  if (many === undefined) {
    return { bulk: false, objects: [parseAttributes(resource, 'create', unwrap(resource, body), caller)] };
  }
  if (!Array.isArray(many) || many.length === 0) throw badRequest('Resources required');
  if (many.length > BULK_MAX) throw badRequest(`At most ${BULK_MAX} objects can be created in one request`);
  const objects = many.map((one: unknown) => {
    if (!isRecord(one)) throw badRequest(`Each of ${resource.plural} must be an object`);
    // Neutron also accepts each element wrapped in its name.
    return parseAttributes(resource, 'create', isRecord(one[resource.name]) ? unwrap(resource, one) : one, caller);
  });
  return { bulk: true, objects };
}

/** Parses the body of an update: only the attributes to change. */
export function parseUpdate(resource: ResourceModel, body: unknown, caller: Caller): Attributes {
  if (!isRecord(body)) throw badRequest('Resource body required');
  return parseAttributes(resource, 'update', unwrap(resource, body), caller);
}

/** Parses the bare body of an action. */
export function parseAction(declared: Readonly<Record<string, Attribute>>, body: unknown): Attributes {
  if (!isRecord(body)) throw badRequest('Body contains invalid data');
  refuseUnknown(declared, body);
  const parsed: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    const attribute = declared[name];
    if (attribute !== undefined) parsed[name] = valueOrThrow(name, attribute, value);
  }
  return parsed;
}

function unwrap(resource: ResourceModel, body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const inner = body[resource.name];
  if (!isRecord(inner)) throw badRequest(`Unable to find '${resource.name}' in request body`);
  return inner;
}

function parseAttributes(
  resource: ResourceModel,
  verb: 'create' | 'update',
  given: Readonly<Record<string, unknown>>,
  caller: Caller,
): Attributes {
  refuseUnknown(resource.attributes, given);
  const parsed: Record<string, unknown> = {};
  for (const [name, attribute] of Object.entries(resource.attributes)) {
    const value = given[name];
    if (value !== undefined) {
      refuseUnwritable(resource, name, verb, caller);
      setOnce(parsed, attribute.aliasOf ?? name, valueOrThrow(name, attribute, value));
    } else if (verb === 'create') {
      if (attribute.required) {
        throw badRequest(`Failed to parse request. Required attribute '${name}' not specified`);
      }
      if (attribute.default !== undefined) parsed[name] = attribute.default;
    }
  }
  return parsed;
}

function setOnce(parsed: Record<string, unknown>, name: string, value: unknown): void {
  if (parsed[name] !== undefined && parsed[name] !== value) throw badRequest(`Two values were given for ${name}`);
  parsed[name] = value;
}

function refuseUnknown(declared: Readonly<Record<string, Attribute>>, given: Readonly<Record<string, unknown>>): void {
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(declared, name));
  if (unknown.length > 0) throw badRequest(`Unrecognized attribute(s) '${unknown.slice(0, 20).join(', ')}'`);
}

function refuseUnwritable(resource: ResourceModel, name: string, verb: 'create' | 'update', caller: Caller): void {
  const attribute = resource.attributes[name];
  if (attribute?.write !== 'both' && attribute?.write !== verb) {
    throw badRequest(
      verb === 'create' ? `Attribute '${name}' not allowed in POST` : `Cannot update read-only attribute ${name}`,
    );
  }
  const who = attribute.writeBy ?? (verb === 'update' ? attribute.updateBy : undefined);
  if (who === 'admin' && !caller.isAdmin) {
    const rule = `${verb}_${resource.name}`;
    throw new CableError('PolicyNotAuthorized', `((rule:${rule}) and (rule:${rule}:${name})) is disallowed by policy`, {
      fields: { attribute: name },
    });
  }
}

function valueOrThrow(name: string, attribute: Attribute, value: unknown): unknown {
  const parsed = parseValue(attribute, value);
  if (parsed.ok) return parsed.value;
  throw new CableError('HTTPBadRequest', `Invalid input for ${name}. Reason: ${parsed.reason}.`, {
    fields: { attribute: name },
  });
}

function badRequest(message: string): CableError {
  return new CableError('HTTPBadRequest', message);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
