/** Requests that a server of a model must take or refuse, derived of its schemas and rules. */
import { compileObject, createSchemaCompiler, type SchemaCompiler, type Values } from '../check.ts';
import { withDefaults } from '../checks.ts';
import type { ProtonAttribute, ProtonModel, ProtonObject } from '../model.ts';
import { badValues, goodValue } from './samples.ts';
import { pathOf } from './typescript.ts';

/**
 * One request, in order, by an administrator of the project. `{{Port.1}}` in a path or a text of a body is the key that the request with
 * `saves: "Port.1"` was answered, in the attribute that its `key` names; `{{project}}` is the project's ID.
 */
export type Vector = {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  /** Any of these. */
  readonly status: readonly number[];
  readonly saves?: string;
  readonly key?: string;
};

/** Objects that are made of each kind, so that two references can differ. */
const MADE = 2;

export const PROJECT = '{{project}}';

const OWNERS: ReadonlySet<string> = new Set(['project_id', 'tenant_id']);

/** Requests that make objects, then those that are refused, then those that end what was made, in the opposite order. */
export function vectorsOf(model: ProtonModel): readonly Vector[] {
  const order = referencesFirst(model.objects);
  const writer = new VectorWriter(model);
  const made = order.flatMap((object) => writer.creates(object));
  const refused = order.flatMap((object) => writer.refusals(object));
  const ends = order.toReversed().flatMap((object) => writer.ends(object));
  return [...made, ...refused, ...ends];
}

/** An object comes after those it must refer to. */
function referencesFirst(objects: readonly ProtonObject[]): readonly ProtonObject[] {
  const sorted = new Set<ProtonObject>();
  const visit = (object: ProtonObject, open: ReadonlySet<ProtonObject>): void => {
    if (open.has(object) || sorted.has(object)) return;
    for (const { ref, required } of object.attributes) {
      const target = objects.find(({ name }) => required && name === ref?.object);
      if (target !== undefined) visit(target, new Set([...open, object]));
    }
    sorted.add(object);
  };
  for (const object of objects) visit(object, new Set());
  return [...sorted];
}

type Way = { readonly isWhole: boolean; readonly isSpread: boolean };

class VectorWriter {
  readonly #model: ProtonModel;
  readonly #compile: SchemaCompiler = createSchemaCompiler();
  readonly #bodies = new Map<string, readonly Values[]>();

  constructor(model: ProtonModel) {
    this.#model = model;
  }

  creates(object: ProtonObject): readonly Vector[] {
    const bodies = this.#goodBodies(object);
    this.#bodies.set(object.name, bodies);
    const path = pathOf(this.#model, object);
    return bodies.map((body, at) => ({
      name: `${object.name} is created`,
      method: 'POST',
      path,
      body,
      status: [201],
      saves: `${object.name}.${at + 1}`,
      key: object.primary,
    }));
  }

  /** Two bodies that the object's own checks take; fewer where none was found. */
  #goodBodies(object: ProtonObject): readonly Values[] {
    const ways = [
      { isWhole: true, isSpread: false },
      { isWhole: true, isSpread: true },
      { isWhole: false, isSpread: false },
      { isWhole: false, isSpread: true },
    ];
    const { check } = compileObject(object, this.#compile);
    const fits = (body: Values | undefined): body is Values =>
      body !== undefined && check(this.#stored(object, body), undefined).length === 0;
    return Array.from({ length: MADE }, (_, at) => ways.map((way) => this.#body(object, at, way)).find(fits)).filter(
      (body) => body !== undefined,
    );
  }

  /** `isSpread`: two attributes of the same values have different ones. */
  #body(object: ProtonObject, at: number, { isWhole, isSpread }: Way): Values | undefined {
    const attributes = object.attributes.filter(
      (one) => !one.readOnly && (isWhole || one.required || isGivenKey(one, object)),
    );
    const members = attributes.map((one, index) => {
      const number = isSpread ? at + index * MADE : at;
      return [one, this.#good(one, object, { at: number, index })] as const;
    });
    if (members.some(([one, value]) => value === undefined && (one.required || isGivenKey(one, object))))
      return undefined;
    return Object.fromEntries(members.flatMap(([{ name }, value]) => (value === undefined ? [] : [[name, value]])));
  }

  /** Undefined: it is left out. */
  #good(attribute: ProtonAttribute, object: ProtonObject, { at, index }: { at: number; index: number }): unknown {
    const { name, ref, schema } = attribute;
    if (OWNERS.has(name)) return attribute.required ? PROJECT : undefined;
    if (name === object.primary && !isGivenKey(attribute, object)) return undefined;
    if (attribute.policies?.write !== undefined) return undefined;
    if (ref !== undefined) return this.#bodies.has(ref.object) ? this.#reference(ref.object, at + index) : undefined;
    return attribute.example !== undefined && at === 0
      ? attribute.example
      : goodValue(schema, this.#compile(schema), at);
  }

  #reference(target: string, at: number): string | undefined {
    const count = this.#bodies.get(target)?.length ?? 0;
    return count === 0 ? undefined : `{{${target}.${(at % count) + 1}}}`;
  }

  /** As the object's checks see it: with keys for references, and what the server fills in. */
  #stored(object: ProtonObject, body: Values): Values {
    const filled = object.attributes.flatMap(({ name, nullable, schema, default: value }) => {
      if (value !== undefined || nullable || Object.hasOwn(body, name)) return [];
      return [[name, OWNERS.has(name) ? 'p' : goodValue(schema, this.#compile(schema), 0)] as const];
    });
    return withDefaults(object, { ...Object.fromEntries(filled), ...this.withKeys(object, body) });
  }

  /** A body whose references are values of their schemas. */
  withKeys(object: ProtonObject, body: Values): Values {
    return Object.fromEntries(
      Object.entries(body).map(([name, value]) => {
        const schema = object.attributes.find((one) => one.name === name)?.schema ?? true;
        const [, number] = /^\{\{(?:\w+\.(\d+)|project)\}\}$/.exec(String(value)) ?? ['', undefined];
        if (value !== PROJECT && number === undefined) return [name, value];
        return [name, goodValue(schema, this.#compile(schema), Number(number ?? 0))];
      }),
    );
  }

  refusals(object: ProtonObject): readonly Vector[] {
    const [body] = this.#bodies.get(object.name) ?? [];
    if (body === undefined) return [];
    return [
      ...this.#missing(object, body),
      ...object.attributes.flatMap((attribute) => this.#wrong(object, attribute, body)),
      this.#refused(object, 'has an attribute that is not known', { ...body, no_such_attribute: 1 }),
      ...this.#brokenRules(object, body),
      ...this.#frozen(object),
    ];
  }

  #refused(object: ProtonObject, what: string, body: unknown): Vector {
    return { name: `${object.name} ${what}`, method: 'POST', path: pathOf(this.#model, object), body, status: [400] };
  }

  #missing(object: ProtonObject, body: Values): readonly Vector[] {
    const required = object.attributes.filter(({ required: isRequired, name }) => isRequired && !OWNERS.has(name));
    return required.map(({ name }) => {
      const { [name]: _, ...rest } = body;
      return this.#refused(object, `lacks ${name}`, rest);
    });
  }

  #wrong(object: ProtonObject, attribute: ProtonAttribute, body: Values): readonly Vector[] {
    const { name, readOnly, nullable, schema, policies } = attribute;
    if (readOnly || policies?.write !== undefined || OWNERS.has(name)) return [];
    const bad = badValues(schema, this.#compile(schema));
    const withNull = nullable || name === object.primary ? [] : [{ what: 'null', value: null }];
    return [...bad, ...withNull].map(({ what, value }) =>
      this.#refused(object, `has ${name}, ${what}`, { ...body, [name]: value }),
    );
  }

  /** For each rule a body that breaks it alone, where one is found. */
  #brokenRules(object: ProtonObject, body: Values): readonly Vector[] {
    return object.rules.flatMap(({ rule, message }) => {
      const { check } = compileObject({ ...object, rules: [{ rule, message }] }, this.#compile);
      const breaks = (one: Values): boolean =>
        check(this.#stored(object, one), undefined).some(({ attribute }) => attribute === null);
      const found = this.#variants(object, body, rule).find(breaks);
      return found === undefined ? [] : [this.#refused(object, `breaks a rule: ${rule}`, found)];
    });
  }

  /** Bodies with other values for what a rule speaks of, one attribute or two at a time. */
  #variants(object: ProtonObject, body: Values, rule: string): readonly Values[] {
    const words = new Set(rule.match(/[A-Za-z_]\w*/g));
    const spoken = object.attributes.filter(({ name, readOnly }) => words.has(name) && !readOnly);
    const choices = spoken.map(({ name, ref, schema }) => {
      const values =
        ref === undefined
          ? Array.from({ length: 4 }, (_, at) => goodValue(schema, this.#compile(schema), at))
          : Array.from({ length: MADE }, (_, at) => this.#reference(ref.object, at));
      return values.filter((value) => value !== undefined).map((value) => [name, value] as const);
    });
    const single = choices.flat().map(([name, value]) => ({ ...body, [name]: value }));
    const pairs = choices.flatMap((one, at) =>
      choices
        .slice(at + 1)
        .flatMap((other) => one.flatMap(([a, x]) => other.map(([b, y]) => ({ ...body, [a]: x, [b]: y })))),
    );
    return [...single, ...pairs];
  }

  /** What is given once cannot be changed. */
  #frozen(object: ProtonObject): readonly Vector[] {
    const [body, other] = this.#bodies.get(object.name) ?? [];
    if (body === undefined) return [];
    return object.attributes
      .filter(
        ({ name, immutable, readOnly }) =>
          immutable && !readOnly && name !== object.primary && Object.hasOwn(body, name),
      )
      .flatMap(({ name, schema, ref }) => {
        const current = body[name];
        const candidates =
          ref === undefined
            ? [other?.[name], goodValue(schema, this.#compile(schema), 2)]
            : [this.#reference(ref.object, 0), this.#reference(ref.object, 1)];
        const value = candidates.find((one) => one !== undefined && one !== current);
        if (value === undefined) return [];
        return [
          {
            name: `${object.name}.${name} is changed`,
            method: 'PUT' as const,
            path: `${pathOf(this.#model, object)}/{{${object.name}.1}}`,
            body: { [name]: value },
            status: [400],
          },
        ];
      });
  }

  /** Reads, then deletes what was made. */
  ends(object: ProtonObject): readonly Vector[] {
    const path = pathOf(this.#model, object);
    const keys = (this.#bodies.get(object.name) ?? []).map((_, at) => `${path}/{{${object.name}.${at + 1}}}`);
    return [
      ...keys
        .slice(0, 1)
        .map((one): Vector => ({ name: `${object.name} is shown`, method: 'GET', path: one, status: [200] })),
      ...keys
        .toReversed()
        .map((one): Vector => ({ name: `${object.name} is deleted`, method: 'DELETE', path: one, status: [204] })),
      ...keys
        .slice(0, 1)
        .map((one): Vector => ({ name: `${object.name} is gone`, method: 'GET', path: one, status: [404] })),
    ];
  }
}

/** A key that the server does not make: it makes those that are a uuid. */
function isGivenKey({ name, ref, schema }: ProtonAttribute, { primary }: ProtonObject): boolean {
  if (name !== primary) return false;
  return ref !== undefined || (typeof schema === 'object' && schema['format'] !== 'uuid');
}
