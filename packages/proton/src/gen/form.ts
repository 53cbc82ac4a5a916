/** What a web form needs of a model: for each object a JSON Schema of what is sent, and hints. */
import type { ProtonAttribute, ProtonModel, ProtonObject } from '../model.ts';
import { pathOf } from './typescript.ts';

export type Form = {
  readonly path: string;
  readonly description: string;
  /** JSON Schema 2020-12 of the body. */
  readonly create: Readonly<Record<string, unknown>>;
  readonly update: Readonly<Record<string, unknown>>;
  /** Hints of the model, by attribute: whatever it has. */
  readonly ui: Readonly<Record<string, unknown>>;
  /** Attributes whose values are keys of objects, for lists to choose from: their paths. */
  readonly choices: Readonly<Record<string, string>>;
  /** In the order of the model. */
  readonly order: readonly string[];
  readonly rules: readonly { readonly rule: string; readonly message: string }[];
};

/** By name of the object. */
export function formsOf(model: ProtonModel): Readonly<Record<string, Form>> {
  return Object.fromEntries(model.objects.map((object) => [object.name, formOf(model, object)]));
}

function formOf(model: ProtonModel, object: ProtonObject): Form {
  const created = object.attributes.filter(({ readOnly }) => !readOnly);
  const updated = created.filter(({ immutable, name }) => !immutable && name !== object.primary);
  const hints = created.flatMap(({ name, ui }) => (ui === undefined ? [] : [[name, ui] as const]));
  return {
    path: pathOf(model, object),
    description: object.description,
    create: bodySchema(
      created,
      created.filter(({ required }) => required),
    ),
    update: bodySchema(updated, []),
    ui: Object.fromEntries(hints),
    choices: choicesOf(model, created),
    order: created.map(({ name }) => name),
    rules: object.rules,
  };
}

function bodySchema(
  attributes: readonly ProtonAttribute[],
  required: readonly ProtonAttribute[],
): Readonly<Record<string, unknown>> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: Object.fromEntries(attributes.map((one) => [one.name, propertySchema(one)])),
    required: required.map(({ name }) => name),
    additionalProperties: false,
  };
}

function propertySchema({ schema, nullable, description, default: value }: ProtonAttribute): unknown {
  const own = typeof schema === 'boolean' ? {} : schema;
  const notes = { ...(description === '' ? {} : { description }), ...(value === undefined ? {} : { default: value }) };
  return nullable ? { anyOf: [own, { type: 'null' }], ...notes } : { ...own, ...notes };
}

function choicesOf(model: ProtonModel, attributes: readonly ProtonAttribute[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    attributes.flatMap(({ name, ref }) => {
      const target = model.objects.find((one) => one.name === ref?.object);
      return target === undefined ? [] : [[name, pathOf(model, target)]];
    }),
  );
}
