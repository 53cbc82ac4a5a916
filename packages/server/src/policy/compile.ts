/** Conditions as functions of a target. */
import { isGrantedTo } from '@cable/model';
import type { Condition, Left } from './condition.ts';
import { type Credentials, individualOf, textsOfCredential } from './credentials.ts';
import { type Template, textOf, type Wanted } from './expression.ts';
import type { Relations, RowOf } from './relations.ts';

/** An object, or the attributes of one to be made. */
export type TargetObject = Readonly<Record<string, unknown>>;

/** What a target is looked at with. */
export type Scope = {
  readonly credentials: Credentials;
  /** Of the target's type. */
  readonly relations: Relations;
  readonly row: RowOf;
};

/** A condition, compiled. */
export type Test = (object: TargetObject, scope: Scope) => boolean;

type Reader = (object: TargetObject, scope: Scope) => unknown;

/** Compiles a condition; what is in `known` is used again, and what is made is put there. */
export function compileCondition(condition: Condition, known: Map<Condition, Test>): Test {
  const found = known.get(condition);
  if (found !== undefined) return found;
  const test = compile(condition, known);
  known.set(condition, test);
  return test;
}

function compile(condition: Condition, known: Map<Condition, Test>): Test {
  switch (condition.kind) {
    case 'constant':
      return condition.value ? () => true : () => false;
    case 'and':
    case 'or':
      return compileJoined(
        condition.kind,
        condition.parts.map((part) => compileCondition(part, known)),
      );
    case 'not': {
      const test = compileCondition(condition.part, known);
      return (object, scope) => !test(object, scope);
    }
    case 'equals':
      return compileEquals(condition.left, condition.right, condition.ignoreCase);
    case 'field':
      return compileField(condition.resource, condition.field, condition.wanted);
    case 'granted':
      return compileGranted(condition.lists);
  }
}

function compileJoined(kind: 'and' | 'or', tests: readonly Test[]): Test {
  const [first, second, third] = tests;
  if (first !== undefined && second !== undefined && third === undefined) {
    return kind === 'and'
      ? (object, scope) => first(object, scope) && second(object, scope)
      : (object, scope) => first(object, scope) || second(object, scope);
  }
  const decides = kind === 'or';
  return (object, scope) => {
    for (const test of tests) if (test(object, scope) === decides) return decides;
    return !decides;
  };
}

function compileEquals(left: Left, right: Template, ignoreCase: boolean): Test {
  const [only, more] = right;
  const place = typeof only === 'object' && more === undefined ? readerOf(only.attribute) : undefined;
  const text: (object: TargetObject, scope: Scope) => string | undefined =
    place === undefined ? rendererOf(right) : (object, scope) => textOf(place(object, scope));
  if (left.kind === 'credential') {
    const individual = individualOf(left.path);
    if (individual !== undefined && place !== undefined) {
      return (object, scope) => {
        const wanted = scope.credentials[individual];
        return wanted !== null && textOf(place(object, scope)) === wanted;
      };
    }
    const besideConstant = right.every((part) => typeof part === 'string');
    return (object, scope) => {
      const given = text(object, scope);
      return given !== undefined && textsOfCredential(scope.credentials, left.path, besideConstant).includes(given);
    };
  }
  const { texts } = left;
  return (object, scope) => {
    const given = text(object, scope);
    return given !== undefined && texts.includes(ignoreCase ? given.toLowerCase() : given);
  };
}

/** Undefined when an attribute is not there. */
function rendererOf(template: Template): (object: TargetObject, scope: Scope) => string | undefined {
  const parts = template.map((part) => (typeof part === 'string' ? part : readerOf(part.attribute)));
  return (object, scope) => {
    let whole = '';
    for (const part of parts) {
      const text = typeof part === 'string' ? part : textOf(part(object, scope));
      if (text === undefined) return undefined;
      whole += text;
    }
    return whole;
  };
}

function compileGranted(lists: readonly string[]): Test {
  return (object, { credentials: { projectId } }) =>
    (projectId !== null && object['project_id'] === projectId) ||
    lists.some((list) => isGrantedTo(object[list], projectId));
}

/** An attribute of an object. `shared` is another for each caller, so it is not stored: only an object that is to be written may have it, as it was given. */
function attributeOf(name: string): Reader {
  if (name !== 'shared') return (object) => object[name];
  return (object, { credentials }) => {
    const list = object['shared_with'];
    return object[name] ?? (list === undefined ? undefined : isGrantedTo(list, credentials.projectId));
  };
}

/** Reads an attribute of the target: its own, `parent:attribute`, or `attribute.key.key`. Undefined: it is not there. */
function readerOf(attribute: string): Reader {
  const name = storedName(attribute);
  const colon = name.indexOf(':');
  if (colon > 0) {
    const [relation, inner] = [name.slice(0, colon), attributeOf(storedName(name.slice(colon + 1)))];
    return (object, scope) => object[name] ?? (name in object ? null : ofParent(inner, relation, object, scope));
  }
  const path = name.split('.');
  if (path.length === 1) return attributeOf(name);
  return (object) => (Object.hasOwn(object, name) ? object[name] : within(object, path));
}

/** The name of an attribute in stored objects. */
export function storedName(attribute: string): string {
  return attribute === 'tenant_id' ? 'project_id' : attribute;
}

function within(object: TargetObject, path: readonly string[]): unknown {
  let value: unknown = object;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as TargetObject)[key];
  }
  return value;
}

function ofParent(read: Reader, relation: string, object: TargetObject, scope: Scope): unknown {
  const parent = parentOf(relation, object, scope);
  return parent === undefined ? undefined : read(parent, scope);
}

function parentOf(relation: string, object: TargetObject, { relations, row }: Scope): TargetObject | undefined {
  const found = relations.get(relation);
  const id = found === undefined ? undefined : object[found.attribute];
  return found === undefined || typeof id !== 'string' ? undefined : row(found.type, id);
}

function compileField(resource: string, field: string, wanted: Wanted): Test {
  const read = attributeOf(storedName(field));
  const fits = fitterOf(wanted);
  return (object, scope) => {
    const own = read(object, scope);
    return fits(own === undefined ? ofParent(read, resource, object, scope) : own);
  };
}

function fitterOf(wanted: Wanted): (value: unknown) => boolean {
  if (wanted.kind === 'pattern') {
    const { pattern } = wanted;
    return (value) => typeof value === 'string' && pattern.test(value);
  }
  const { text } = wanted;
  const flag = flagOf(text);
  return (value) => {
    if (typeof value === 'boolean') return value === flag;
    return value === text || (typeof value === 'number' && String(value) === text);
  };
}

/** What Neutron takes for a boolean; undefined: none. */
export function flagOf(text: string): boolean | undefined {
  if (/^(?:true|1)$/i.test(text)) return true;
  return /^(?:false|0)$/i.test(text) ? false : undefined;
}
