/** What holds of a model as a whole, once its objects are read: rules, names of attributes, defaults, examples. */
import { compileObject, createSchemaCompiler, type SchemaCheck, type SchemaCompiler, STAMPS } from './check.ts';
import { listed } from './fields.ts';
import type { LinkedObject } from './links.ts';
import type { JsonSchema, ProtonAttribute, ProtonModel, ProtonObject } from './model.ts';
import type { Place, Problems } from './problems.ts';
import { compileRule } from './rules.ts';
import type { Tree } from './tree.ts';

export function checkModel(model: ProtonModel, linked: readonly LinkedObject[], problems: Problems): void {
  const compiler = createSchemaCompiler();
  const isWhole = !problems.hasErrors;
  for (const object of model.objects) {
    const places = linked.find(({ name }) => name === object.name);
    if (places === undefined) continue;
    const checker = new ObjectChecker(object, places, compiler, isWhole, problems);
    checker.all();
  }
  checkConversionDefaults(model, linked, compiler, problems);
}

class ObjectChecker {
  readonly #object: ProtonObject;
  readonly #places: LinkedObject;
  readonly #compiler: SchemaCompiler;
  /** False: what was read is not all that is written, so that what is missing may be there. */
  readonly #isWhole: boolean;
  readonly #problems: Problems;

  constructor(
    object: ProtonObject,
    places: LinkedObject,
    compiler: SchemaCompiler,
    isWhole: boolean,
    problems: Problems,
  ) {
    this.#object = object;
    this.#places = places;
    this.#compiler = compiler;
    this.#isWhole = isWhole;
    this.#problems = problems;
  }

  all(): void {
    for (const attribute of this.#object.attributes) this.#attribute(attribute);
    this.#aliases();
    this.#key();
    this.#rules();
    this.#groups('unique', this.#object.unique);
    this.#groups('indexes', this.#object.indexes);
    this.#columns();
    this.#examples();
  }

  #at(attribute: string, key: string): Place {
    const raw = this.#places.merged.attributes.get(attribute);
    return raw?.keys.get(key)?.value.at ?? raw?.at ?? this.#places.merged.at;
  }

  #attribute(attribute: ProtonAttribute): void {
    const { name, nullable, unique, schema } = attribute;
    const what = `${this.#object.name}.${name}`;
    const check = this.#schemaCheck(attribute);
    if (check === undefined) return;
    for (const [key, value] of [
      ['default', attribute.default],
      ['examples', attribute.example],
    ] as const) {
      if (value === undefined || (value === null && nullable)) continue;
      const problem = check(value);
      if (problem !== undefined)
        this.#problems.error(
          this.#at(name, key),
          `${key} of ${what} is none of its values: ${problem}`,
          'Change it, or the schema',
        );
    }
    if (unique !== undefined && !isScalar(schema)) {
      this.#problems.error(
        this.#at(name, 'unique'),
        `${what} is no text and no integer, and cannot be unique`,
        'Leave unique out',
      );
    }
  }

  /** Undefined, and told, for a schema that is none. */
  #schemaCheck({ name, schema }: ProtonAttribute): SchemaCheck | undefined {
    try {
      return this.#compiler(schema);
    } catch (err) {
      if (!this.#isWhole) return undefined;
      const text = err instanceof Error ? err.message : String(err);
      this.#problems.error(
        this.#at(name, 'schema'),
        `the schema of ${this.#object.name}.${name} is none: ${text}`,
        'Mend it',
      );
      return undefined;
    }
  }

  #aliases(): void {
    const names = [...this.#object.attributes.map(({ name }) => name), ...STAMPS];
    for (const { name, alias } of this.#object.attributes) {
      if (alias === undefined) continue;
      if (names.includes(alias))
        this.#problems.error(
          this.#at(name, 'alias'),
          `${this.#object.name} has ${alias} twice`,
          'Choose another alias',
        );
      names.push(alias);
    }
  }

  #key(): void {
    const key = this.#object.attributes.find(({ name }) => name === this.#object.primary);
    if (key === undefined || !this.#isWhole || isText(key.schema)) return;
    this.#problems.error(
      this.#at(key.name, 'type'),
      `${this.#object.name}.${key.name} is the key and no text`,
      'Make it a uuid or a string, or make another attribute the key',
    );
  }

  #rules(): void {
    const places = this.#listPlaces('rules');
    for (const [at, { rule }] of this.#object.rules.entries()) {
      try {
        compileRule(rule, this.#object.attributes);
      } catch (err) {
        const text = err instanceof Error ? err.message : String(err);
        this.#problems.error(
          places[at] ?? this.#places.merged.at,
          `a rule of ${this.#object.name} is not understood: ${text}`,
          'Write CEL over its attributes',
        );
      }
    }
  }

  #groups(key: 'unique' | 'indexes', groups: readonly (readonly string[])[]): void {
    const places = this.#listPlaces(key);
    for (const [at, group] of groups.entries()) {
      const place = places[at] ?? this.#places.merged.at;
      if (group.length === 0)
        this.#problems.error(place, `a member of ${key} of ${this.#object.name} is empty`, 'Name attributes in it');
      for (const name of group) this.#named(name, place, `${key} of ${this.#object.name}`, true);
    }
  }

  #columns(): void {
    const entry = this.#places.merged.api.entries.get('print_columns');
    if (entry === undefined) return;
    for (const name of this.#object.printColumns)
      this.#named(name, entry.value.at, `print_columns of ${this.#object.name}`, false);
  }

  #named(name: string, at: Place, what: string, mustBeScalar: boolean): void {
    const attribute = this.#object.attributes.find((one) => one.name === name);
    if (attribute === undefined && STAMPS.includes(name) && !mustBeScalar) return;
    if (attribute === undefined) {
      const known = this.#object.attributes.map((one) => one.name);
      this.#problems.error(at, `${what} names ${name}, which is no attribute`, `Name some of ${listed(known)}`);
    } else if (mustBeScalar && !isScalar(attribute.schema)) {
      this.#problems.error(at, `${what} names ${name}, which is no text and no integer`, 'Leave it out');
    }
  }

  /** An example is an object as it would be created: keys and owner may be left out. */
  #examples(): void {
    if (!this.#isWhole || this.#problems.hasErrors || this.#object.examples.length === 0) return;
    const places = this.#listPlaces('examples');
    const given = (example: unknown) => withDefaults(this.#object, example);
    const { check } = compileObject(
      { ...this.#object, attributes: this.#object.attributes.map(lenient) },
      this.#compiler,
    );
    for (const [at, example] of this.#object.examples.entries()) {
      const place = places[at] ?? this.#places.merged.at;
      for (const { attribute, text } of check(given(example), undefined)) {
        const what = attribute === null ? 'it' : attribute;
        this.#problems.error(
          place,
          `an example of ${this.#object.name} is none: ${what} ${text}`,
          'Change it, or the model',
        );
      }
    }
  }

  /** Places of the members of a list, those of what is extended first. */
  #listPlaces(key: string): readonly Place[] {
    const bodies = this.#places.merged.bodies.toReversed();
    return bodies.flatMap((body) => membersOf(body.entries.get(key)?.value)).map(({ at }) => at);
  }
}

function membersOf(tree: Tree | undefined): readonly Tree[] {
  return tree?.kind === 'list' ? tree.items : [];
}

/** What the server fills in is not in an example. */
function lenient(attribute: ProtonAttribute): ProtonAttribute {
  return attribute.required ? attribute : { ...attribute, nullable: true };
}

/** An object as it is stored when that is what is sent: with defaults, and names for aliases. */
export function withDefaults(object: ProtonObject, sent: unknown): Readonly<Record<string, unknown>> {
  const names = new Map(object.attributes.flatMap(({ name, alias }) => (alias === undefined ? [] : [[alias, name]])));
  const given = typeof sent === 'object' && sent !== null ? Object.entries(sent) : [];
  const defaults = object.attributes.flatMap(({ name, default: value }) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return Object.fromEntries([...defaults, ...given.map(([name, value]) => [names.get(name) ?? name, value] as const)]);
}

/** Whether values can be unique and be indexed: a text, an integer, true and false. */
export function isScalar(schema: JsonSchema): boolean {
  if (typeof schema === 'boolean') return false;
  const { type, enum: values, allOf } = schema;
  const types = [type ?? []].flat().filter((one) => one !== 'null');
  if (types.length > 0) return types.length === 1 && SCALARS.includes(types[0]);
  if (Array.isArray(values)) return values.every((value) => typeof value === 'string');
  return Array.isArray(allOf) && allOf.some((one) => isScalar(one as JsonSchema));
}

const SCALARS: readonly unknown[] = ['string', 'integer', 'boolean'];

/** Keys are parts of paths, and of keys of the store. */
function isText(schema: JsonSchema): boolean {
  return (
    isScalar(schema) &&
    typeof schema === 'object' &&
    !['integer', 'boolean'].some((one) => typesOf(schema).includes(one))
  );
}

function typesOf({ type }: Readonly<Record<string, unknown>>): readonly unknown[] {
  return [type].flat();
}

function checkConversionDefaults(
  model: ProtonModel,
  linked: readonly LinkedObject[],
  compiler: SchemaCompiler,
  problems: Problems,
): void {
  if (problems.hasErrors) return;
  for (const { from, objects } of model.conversions) {
    for (const { object, steps } of objects) {
      const { attributes = [], merged } = linked.find(({ name }) => name === object) ?? {};
      for (const step of steps) {
        if (!('default' in step)) continue;
        const attribute = attributes.find(({ name }) => name === step.default.attribute);
        if (attribute === undefined || merged === undefined) continue;
        const isNull = step.default.value === null && attribute.nullable;
        const problem = isNull ? undefined : compiler(attribute.schema)(step.default.value);
        if (problem !== undefined)
          problems.error(
            merged.at,
            `the conversion from ${from} gives ${object}.${attribute.name} what is none of its values: ${problem}`,
            'Change the value',
          );
      }
    }
  }
}
