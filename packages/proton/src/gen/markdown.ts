/** A page of reference of a model. */
import { ACTIONS, type JsonSchema, type ProtonAttribute, type ProtonModel, type ProtonObject } from '../model.ts';
import { pathOf } from './typescript.ts';

export function markdownText(model: ProtonModel): string {
  const { name, version, description, deprecated, author } = model;
  const by = [author?.name, author?.email, author?.url].filter((word) => word !== undefined).map(cell);
  return [
    `# ${cell(name)} ${cell(version)}`,
    '',
    ...(description === '' ? [] : [cell(description), '']),
    ...(deprecated ? ['**Deprecated.**', ''] : []),
    ...(by.length === 0 ? [] : [`By ${by.join(', ')}.`, '']),
    ...table(
      ['object', 'path', 'what it is'],
      model.objects.map((object) => [link(object.name), code(pathOf(model, object)), cell(object.description)]),
    ),
    '',
    ...model.objects.flatMap((object) => objectSection(model, object)),
  ].join('\n');
}

function objectSection(model: ProtonModel, object: ProtonObject): readonly string[] {
  const { name, parent } = object;
  const path = pathOf(model, object);
  const above = model.objects.find((one) => one.name === parent?.object);
  const nested = above === undefined ? [] : [`${pathOf(model, above)}/{${above.noun}}/${object.plural}`];
  return [
    `## ${name}`,
    '',
    ...(object.description === '' ? [] : [cell(object.description), '']),
    ...[path, ...nested].flatMap((one) => [
      `- ${code(`GET, POST ${one}`)}`,
      `- ${code(`GET, PUT, DELETE ${one}/{${object.primary}}`)}`,
    ]),
    '',
    ...table(
      ['attribute', 'values', 'is', 'what it is'],
      object.attributes.map((one) => [code(one.name), valuesText(one), marks(one, object), cell(one.description)]),
    ),
    '',
    ...(object.rules.length === 0
      ? []
      : [
          ...table(
            ['rule', 'else'],
            object.rules.map(({ rule, message }) => [code(rule), cell(message)]),
          ),
          '',
        ]),
    ...(object.unique.length === 0
      ? []
      : [`Unique within a project: ${object.unique.map((group) => group.map(code).join(' with ')).join('; ')}.`, '']),
    ...table(
      ['who may', 'policy'],
      ACTIONS.map((action) => [action, code(object.policies[action])]),
    ),
    '',
    ...object.examples.flatMap((example) => ['```json', ...fenced(example), '```', '']),
  ];
}

function fenced(value: unknown): readonly string[] {
  return JSON.stringify(value, null, 2).replaceAll('`', '\\u0060').split('\n');
}

function valuesText({ schema, ref }: ProtonAttribute): string {
  return ref === undefined ? cell(schemaText(schema)) : `key of a ${link(ref.object)} (${ref.onDelete})`;
}

/** `string, maxLength 64`; what cannot be said in a line is its JSON. */
export function schemaText(schema: JsonSchema): string {
  if (typeof schema === 'boolean') return schema ? 'anything' : 'nothing';
  const { type, enum: values, items, anyOf, title: _title, description: _description, ...rest } = schema;
  const parts = [
    ...(Array.isArray(values) ? [values.map(String).join(', ')] : []),
    ...(type === undefined || Array.isArray(values) ? [] : [[type].flat().join(' or ')]),
    ...(items === undefined ? [] : [`of (${schemaText(items as JsonSchema)})`]),
    ...(Array.isArray(anyOf) ? [anyOf.map((one) => schemaText(one as JsonSchema)).join(' or ')] : []),
    ...Object.entries(rest)
      .filter(isTold)
      .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`),
  ];
  return parts.join('; ');
}

/** What is of every integer, and notes, are not told. */
function isTold([key, value]: readonly [string, unknown]): boolean {
  return !['examples', 'default', '$comment'].includes(key) && Math.abs(Number(value)) !== Number.MAX_SAFE_INTEGER;
}

function marks(attribute: ProtonAttribute, { primary }: ProtonObject): string {
  const { name, required, nullable, immutable, readOnly, unique, alias, policies } = attribute;
  const words = [
    ...(name === primary ? ['key'] : []),
    ...(required ? ['required'] : []),
    ...(readOnly ? ['read-only'] : []),
    ...(immutable && name !== primary ? ['set once'] : []),
    ...(nullable ? ['may be null'] : []),
    ...(unique === undefined ? [] : [`unique (${unique})`]),
    ...(attribute.default === undefined ? [] : [`by default ${code(JSON.stringify(attribute.default))}`]),
    ...(alias === undefined ? [] : [`also ${code(alias)}`]),
    ...Object.entries(policies ?? {}).map(([what, rule]) => `${what}: ${code(rule)}`),
  ];
  return words.join(', ');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const lineOf = (cells: readonly string[]): string =>
    `| ${cells.map((one) => one.replaceAll(/\s*\n\s*/g, ' ')).join(' | ')} |`;
  return [lineOf(head), `|${head.map(() => '---|').join('')}`, ...rows.map(lineOf)];
}

/** Text that is no Markdown, whatever is in it. */
function cell(text: string): string {
  return text.replaceAll(/[\s\p{Cc}]+/gu, ' ').replaceAll(/[\\`*_{}[\]<>|#]/g, (character) => `\\${character}`);
}

function code(text: string): string {
  const safe = text.replaceAll(/[\s\p{Cc}]+/gu, ' ').replaceAll('|', '\\|');
  return safe.includes('`') ? `\`\` ${safe} \`\`` : `\`${safe}\``;
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}
