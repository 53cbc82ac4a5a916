/** What the plug-in sends: whom it speaks for, what is to be done, and with what. */
import { unfitForKey } from '@cable/api';
import { CableError } from '@cable/model';

/** Whom the request is made for, as Neutron knows him. */
export type PluginContext = {
  readonly userId: string | null;
  /** Without dashes; null: none, as of Neutron itself. */
  readonly projectId: string | null;
  readonly isAdmin: boolean;
  readonly roles: readonly string[];
  /** Neutron's id of the request that led to this one; null: not said. */
  readonly requestId: string | null;
};

/** One request, its form checked. */
export type PluginRequest = {
  /** As it was sent: which there are is the type's. */
  readonly operation: string;
  readonly context: PluginContext;
  /** What identifies the object: a text, or a name in parts; undefined: none. */
  readonly id: string | readonly string[] | undefined;
  /** Undefined: none. */
  readonly resource: Fields | undefined;
  readonly filters: Fields;
  /** Attributes that are wanted; empty: all. */
  readonly fields: readonly string[];
};

/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** Further ones do not count. */
const MOST_ROLES = 64;
const MOST_FIELDS = 200;
const TEXT_MAX = 255;

/** Parses a body. `type`: of the path. Throws `BadRequest`. */
export function parseEnvelope(type: string, body: unknown): PluginRequest {
  if (!isFields(body)) throw badRequest(type, 'the body is no object with context and data');
  const { context: given } = body;
  const data = body['data'] ?? {};
  if (!isFields(given)) throw badRequest(type, 'context is no object');
  if (!isFields(data)) throw badRequest(type, 'data is no object');
  const { operation } = given;
  if (typeof operation !== 'string') throw badRequest(type, 'context.operation is no text');
  if (given['type'] !== undefined && given['type'] !== type) {
    throw badRequest(type, `context.type is not ${type}, the type of the path`);
  }
  return {
    operation,
    context: parseContext(type, given),
    id: parseId(type, data['id']),
    resource: objectOr(type, 'data.resource', data['resource']),
    filters: objectOr(type, 'data.filters', data['filters']) ?? {},
    fields: textsOr(type, 'data.fields', data['fields'], MOST_FIELDS),
  };
}

/** Keystone's ids of projects are hexadecimal; with dashes it is the same one. */
export function withoutDashes(project: string): string {
  return DASHED.test(project) ? project.replaceAll('-', '').toLowerCase() : project;
}

const DASHED = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `Bad <type> request: <reason>.` */
export function badRequest(type: string, reason: string): CableError {
  return new CableError('BadRequest', `Bad ${type} request: ${reason}.`);
}

function parseContext(type: string, given: Fields): PluginContext {
  const projectId = projectOf(type, 'tenant_id', given['tenant_id']);
  const other = projectOf(type, 'tenant', given['tenant']);
  if (projectId !== null && other !== null && projectId !== other) {
    throw badRequest(type, 'context.tenant and context.tenant_id are two projects');
  }
  const isAdmin = given['is_admin'] ?? false;
  if (typeof isAdmin !== 'boolean') throw badRequest(type, 'context.is_admin is neither true nor false');
  return {
    userId: textOr(type, 'user_id', given['user_id']),
    projectId: projectId ?? other,
    isAdmin,
    roles: textsOr(type, 'context.roles', given['roles'], MOST_ROLES),
    requestId: textOr(type, 'request_id', given['request_id']),
  };
}

function projectOf(type: string, name: string, value: unknown): string | null {
  const text = textOr(type, name, value);
  if (text === null) return null;
  const unfit = unfitForKey(text);
  if (unfit !== undefined) throw badRequest(type, `context.${name}: ${unfit}`);
  return withoutDashes(text);
}

/** Null for what is not there, or empty. */
function textOr(type: string, name: string, value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string' && value.length <= TEXT_MAX) return value;
  throw badRequest(type, `context.${name} is no text of at most ${TEXT_MAX} characters`);
}

function parseId(type: string, value: unknown): PluginRequest['id'] {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.length <= 8 && value.every((one) => typeof one === 'string')) return value;
  throw badRequest(type, 'data.id is no text');
}

function objectOr(type: string, name: string, value: unknown): Fields | undefined {
  if (value === undefined || value === null) return undefined;
  if (isFields(value)) return value;
  throw badRequest(type, `${name} is no object`);
}

function textsOr(type: string, name: string, value: unknown, most: number): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string' && one.length <= TEXT_MAX)) {
    throw badRequest(type, `${name} is no list of texts of at most ${TEXT_MAX} characters`);
  }
  return value.slice(0, most);
}

/** The operation that a body asks for, whatever else there is in it; undefined: none. */
export function pluginOperation(body: unknown): unknown {
  const context = isFields(body) ? body['context'] : undefined;
  return isFields(context) ? context['operation'] : undefined;
}
