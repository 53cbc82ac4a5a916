import { type ActionDeclaration, type Attribute, CableError, type ResourceModel } from '@cable/model';
import { parseValue, refusedValue, unfitForKey } from './value.ts';

/** Checked attributes of a request by declared name, canonical; the derived ones that the client left out are absent. */
export type Attributes = Readonly<Record<string, unknown>>;

/** One object of a request. */
export type ParsedObject = {
  /** With defaults, in a create. */
  readonly attributes: Attributes;
  /**
   * Declared names of what the request itself names, whatever the value; of an object, a dictionary or a list of objects also what it names in them:
   * `fixed_ips`, `fixed_ips:ip_address`.
   */
  readonly given: readonly string[];
};

/** The objects of a create request. `bulk`: the client sent the plural form and gets it back. */
export type CreateRequest = { readonly bulk: boolean; readonly objects: readonly ParsedObject[] };

/** Most objects in one bulk request. */
export const BULK_MAX = 1000;

/**
 * Parses the body of a create: its syntax, whoever sends it. `place`: attributes that the path gives, by declared name; the body may repeat them. Throws
 * `CableError` with Neutron's texts.
 */
export function parseCreate(resource: ResourceModel, body: unknown, place: Attributes = {}): CreateRequest {
  if (resource.bare === true) return { bulk: false, objects: [parseNew(resource, bareOf(body), place)] };
  const given = bodyOf(body);
  const many = given[resource.plural];
  if (many === undefined) {
    return { bulk: false, objects: [parseNew(resource, unwrap(resource.name, given), place)] };
  }
  if (!Array.isArray(many) || many.length === 0) throw badRequest(isEmpty(many) ? 'Resources required' : INVALID);
  if (many.length > BULK_MAX) throw badRequest(`At most ${BULK_MAX} objects can be created in one request`);
  const objects = many.map((one: unknown, index) => {
    try {
      return parseOneOfMany(resource, one, place);
    } catch (err) {
      throw inBulk(err, resource, index);
    }
  });
  return { bulk: true, objects };
}

function parseOneOfMany(resource: ResourceModel, one: unknown, place: Attributes): ParsedObject {
  if (!isRecord(one)) throw badRequest(INVALID);
  // Neutron also accepts each element wrapped in its name.
  return parseNew(resource, isRecord(one[resource.name]) ? unwrap(resource.name, one) : one, place);
}

/** What an object of a bulk is refused for, with the place of the object, from 0, in its detail: `ports[3]: ...`. What is no `CableError` stays as it is. */
export function inBulk(err: unknown, { plural }: Pick<ResourceModel, 'plural'>, index: number): unknown {
  if (!(err instanceof CableError)) return err;
  const { code, message, label, fields, detail, remedy, cause } = err;
  const where = `${plural}[${index}]: ${detail || remedy}`;
  return new CableError(code, message, { label, fields: { ...fields, index }, detail: where, cause });
}

/** Parses the body of an update: only the attributes to change. */
export function parseUpdate(resource: ResourceModel, body: unknown): ParsedObject {
  const parsed: Record<string, unknown> = {};
  const object = resource.bare === true ? bareOf(body) : unwrap(resource.name, bodyOf(body));
  const given = parseGiven(resource, 'update', object, parsed);
  return { attributes: parsed, given };
}

/** Parses the body of an action. */
export function parseAction(action: ActionDeclaration, body: unknown): ParsedObject {
  try {
    return parseActionBody(action, body);
  } catch (err) {
    if (action.badBody === undefined || !(err instanceof CableError)) throw err;
    const { reason } = err.fields;
    throw invalidInput(typeof reason === 'string' ? reason : `Invalid ${Object.keys(action.body ?? {}).join()} body`);
  }
}

/** Neutron's error of what its validators refuse outside of an object's attributes. `reason` has no full stop. */
export function invalidInput(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}

function parseActionBody(action: ActionDeclaration, body: unknown): ParsedObject {
  const { body: declared = {}, bodyKey } = action;
  if (action.body === undefined && (body === undefined || action.anyBody === true))
    return { attributes: {}, given: [] };
  if (!isRecord(body)) throw badRequest(INVALID);
  const inner = bodyKey === undefined ? body : unwrap(bodyKey, body);
  if (action.besides === undefined) refuseUnknown(declared, inner);
  const parsed: Record<string, unknown> = {};
  const given: string[] = [];
  for (const [name, value] of Object.entries(inner)) {
    const attribute = declared[name];
    if (attribute === undefined) continue;
    const read = valueOrThrow(name, attribute, value);
    if (read !== undefined) parsed[name] = read;
    given.push(...namesIn(name, attribute, read));
  }
  return { attributes: filledIn(declared, parsed), given };
}

/** Neutron's words for a body that is of no form. */
const INVALID = 'Body contains invalid data';

function bodyOf(body: unknown): Readonly<Record<string, unknown>> {
  if (isEmpty(body)) throw badRequest('Resource body required');
  if (!isRecord(body)) throw badRequest(INVALID);
  return body;
}

/** An object that stands in the body as it is: it may be empty. */
function bareOf(body: unknown): Readonly<Record<string, unknown>> {
  if (isRecord(body)) return body;
  throw badRequest(body === undefined || body === null ? 'Resource body required' : INVALID);
}

function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return !value;
}

function unwrap(key: string, body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const inner = body[key];
  if (isRecord(inner)) return inner;
  throw badRequest(
    inner === undefined || inner === null
      ? `Unable to find '${key}' in request body`
      : `Object '${key}' contains invalid data`,
  );
}

function parseNew(resource: ResourceModel, object: Readonly<Record<string, unknown>>, place: Attributes): ParsedObject {
  const parsed: Record<string, unknown> = { ...place, ...resource.fixed };
  refuseMissing(resource, object, parsed);
  const given = parseGiven(resource, 'create', object, parsed);
  const attributes = filledIn(resource.attributes, parsed);
  if (resource.key !== 'id') checkKey(resource, attributes);
  return { attributes, given };
}

/** Parses what the object has into `parsed`. Gives the names. */
function parseGiven(
  resource: ResourceModel,
  verb: 'create' | 'update',
  object: Readonly<Record<string, unknown>>,
  parsed: Record<string, unknown>,
): readonly string[] {
  refuseUnknown(resource.attributes, object);
  const given: string[] = [];
  for (const [name, attribute] of entriesOf(resource.attributes).all) {
    const value = object[name];
    if (value === undefined) continue;
    refuseUnwritable(resource, name, attribute, verb);
    const declaredName = attribute.aliasOf ?? name;
    const isEmptied = value === null && attribute.nullAsEmpty === true;
    const read = valueOrThrow(name, attribute, isEmptied ? [] : value);
    // Null that counts as absent leaves what is there; where Neutron has no default it was given all the same.
    if (read === undefined && attribute.ruleOfDefault !== true) continue;
    if (read !== undefined) setOnce(parsed, resource, declaredName, read);
    given.push(...namesIn(declaredName, attribute, parsed[declaredName]));
  }
  return given;
}

/** The name, and those of what the value has in it. */
function namesIn(name: string, attribute: Attribute, value: unknown): readonly string[] {
  const isNested = attribute.items?.properties !== undefined || ['object', 'dict', 'any'].includes(attribute.type);
  if (!isNested) return [name];
  const parts = (Array.isArray(value) ? value : [value]).filter(isRecord);
  return [name, ...new Set(parts.flatMap((part) => Object.keys(part).map((inner) => `${name}:${inner}`)))];
}

/**
 * What was given, with the defaults of what was not. Throws where there must be something. One copy of all defaults is many times faster to make and to copy than an
 * object that gets them name by name.
 */
function filledIn(declared: Readonly<Record<string, Attribute>>, parsed: Attributes): Attributes {
  const { required, defaults } = entriesOf(declared);
  for (const [name, attribute] of required) {
    if (parsed[attribute.aliasOf ?? name] !== undefined) continue;
    throw badRequest(`Failed to parse request. Required attribute '${name}' not specified`);
  }
  return { ...defaults, ...parsed };
}

type Entries = {
  readonly all: readonly (readonly [string, Attribute])[];
  /** Those that must be given. */
  readonly required: readonly (readonly [string, Attribute])[];
  /** Of the others, by declared name. */
  readonly defaults: Attributes;
};

const entries = new WeakMap<object, Entries>();

/** Found once: they are looked through for each object of a request. */
function entriesOf(declared: Readonly<Record<string, Attribute>>): Entries {
  const known = entries.get(declared);
  if (known !== undefined) return known;
  const all = Object.entries(declared);
  const defaulted = all.filter(([, one]) => one.required !== true && one.default !== undefined);
  const found = {
    all,
    required: all.filter(([, one]) => one.required === true),
    defaults: Object.fromEntries(defaulted.map(([name, one]) => [one.aliasOf ?? name, one.default])),
  };
  entries.set(declared, found);
  return found;
}

/** A key is a part of paths and of the store's keys. */
function checkKey({ key, attributes }: ResourceModel, parsed: Attributes): void {
  const value = parsed[attributes[key]?.aliasOf ?? key];
  if (value === undefined) return;
  const isNamed = typeof value === 'string' && value !== '' && !value.includes('/');
  const reason = isNamed ? unfitForKey(value) : 'it must not be empty, nor have a slash';
  if (reason === undefined) return;
  throw new CableError('HTTPBadRequest', `Invalid input for ${key}. Reason: ${reason}.`, {
    fields: { attribute: key },
  });
}

/** Under its declared name, which may have been given by the path or under another name. */
function setOnce(parsed: Record<string, unknown>, { attributes }: ResourceModel, name: string, value: unknown): void {
  if (parsed[name] !== undefined && parsed[name] !== value) {
    const other = Object.keys(attributes).find((one) => attributes[one]?.aliasOf === name);
    throw badRequest(
      other === undefined ? `Two values were given for ${name}` : `'${name}' and '${other}' do not match`,
    );
  }
  parsed[name] = value;
}

/** What is missing is told before what is wrong, as Neutron does: of its resources the first. */
function refuseMissing(
  { attributes: declared, bare }: ResourceModel,
  given: Readonly<Record<string, unknown>>,
  parsed: Attributes,
): void {
  const isMissing = ([name, attribute]: readonly [string, Attribute]): boolean =>
    given[name] === undefined &&
    parsed[attribute.aliasOf ?? name] === undefined &&
    !Object.keys(given).some((other) => declared[other]?.aliasOf === name);
  const missing = entriesOf(declared).required.filter(isMissing);
  const [first] = missing;
  if (first === undefined) return;
  refuseUnknown(declared, given);
  const names = (bare === true ? missing : [first]).map(([name]) => `'${name}'`);
  throw badRequest(
    `Failed to parse request. Required attribute${names.length > 1 ? 's' : ''} ${names.join(', ')} not specified`,
  );
}

function refuseUnknown(declared: Readonly<Record<string, Attribute>>, given: Readonly<Record<string, unknown>>): void {
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(declared, name));
  if (unknown.length > 0) throw badRequest(`Unrecognized attribute(s) '${unknown.slice(0, 20).join(', ')}'`);
}

function refuseUnwritable(
  { bare }: ResourceModel,
  name: string,
  attribute: Attribute,
  verb: 'create' | 'update',
): void {
  if (attribute.write === 'both' || attribute.write === verb) return;
  if (bare === true && attribute.write === 'create')
    throw badRequest(`Attribute '${name}' is immutable: leave it out, or create the object anew`);
  throw badRequest(
    verb === 'create' ? `Attribute '${name}' not allowed in POST` : `Cannot update read-only attribute ${name}`,
  );
}

function valueOrThrow(name: string, attribute: Attribute, value: unknown): unknown {
  const parsed = parseValue(attribute, value);
  if (parsed.ok) return parsed.value;
  throw refusedValue(name, parsed);
}

function badRequest(message: string): CableError {
  return new CableError('HTTPBadRequest', message);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
