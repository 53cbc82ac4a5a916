/** The reference of the API in Markdown, made from what is declared. */
import {
  type Attribute,
  type ExtensionDeclaration,
  type Registry,
  type ResourceModel,
  servedModels,
  servedName,
} from '@cable/model';
import { exampleOf } from './example.ts';
import { NATIVE_ROUTES } from './native-routes.ts';
import { type Route, routesOf } from './routes.ts';

/** A page with a section for each type, Cable's own routes and the extensions. `head` stands first. */
export function renderReference({ models, extensions }: Registry, head: string): string {
  const routes = routesOf(models);
  const sections = servedModels(models).map((model) =>
    renderType(
      model,
      routes.filter(({ resource }) => servedName(resource) === servedName(model)),
    ),
  );
  return `${[head, INTRODUCTION, ...sections, renderNative(), renderExtensions(extensions)].join('\n')}\n`;
}

const INTRODUCTION = `# The API

What the server answers with the extensions that Cable ships with; the server that runs says it of itself at \`/openapi.json\` and \`/cable/v1/schema\`.
A body is JSON, one object under its key (\`{"network": {...}}\`), many under the plural one. Attributes of an admin are neither shown to others nor taken from them.
`;

function renderType(model: ResourceModel, routes: readonly Route[]): string {
  const attributes = Object.entries(model.attributes).map(([name, attribute]) => [
    `\`${name}\``,
    typeText(attribute),
    writeText(attribute),
    `${attribute.description ?? ''}${attribute.extension === undefined ? '' : ` (${attribute.extension})`}`,
  ]);
  const example = Object.entries(model.attributes).flatMap(([name, attribute]) =>
    attribute.input || attribute.filterOnly ? [] : [[name, exampleOf(attribute)]],
  );
  return `## ${servedName(model)}

${model.description}

${table(['request', 'what it does', 'status'], routes.map(renderRoute))}
${table(['attribute', 'type', 'given', 'what it is'], attributes)}
\`\`\`json
${JSON.stringify({ [model.name]: Object.fromEntries(example) }, null, 2)}
\`\`\`
`;
}

function renderRoute({ method, path, operation, status, resource }: Route): readonly string[] {
  const does = operation.kind === 'action' ? operation.action.description : VERB_TEXTS[operation.kind](resource);
  return [`\`${method} ${path}\``, does, String(status)];
}

const VERB_TEXTS = {
  list: ({ plural }: ResourceModel) => `Lists ${spoken(plural)}.`,
  show: ({ name }: ResourceModel) => `Shows one ${spoken(name)}.`,
  create: ({ plural }: ResourceModel) => `Creates one of the ${spoken(plural)}, or many.`,
  update: ({ name }: ResourceModel) => `Changes a ${spoken(name)}.`,
  delete: ({ name }: ResourceModel) => `Deletes a ${spoken(name)}.`,
} as const;

function typeText({ type, values, items, nullable }: Attribute): string {
  const one = values === undefined ? (items === undefined ? type : `list of ${items.type}`) : values.join(', ');
  return nullable ? `${one}, or null` : one;
}

function writeText({ write, required, updateBy, writeBy, default: value }: Attribute): string {
  if (write === undefined) return 'never';
  const when = { create: 'on create', update: 'on update', both: 'on create and update' }[write];
  const by = writeBy === 'admin' ? ', by an admin' : updateBy === 'admin' ? ', later by an admin' : '';
  const without = required ? ', required' : value === undefined ? '' : `; else \`${JSON.stringify(value)}\``;
  return `${when}${by}${without}`;
}

function renderNative(): string {
  const rows = NATIVE_ROUTES.map(({ method, path, summary, adminOnly }) => [
    `\`${method} ${path}\``,
    adminOnly ? `${summary} For admins.` : summary,
  ]);
  return `## The server’s own\n\n${table(['request', 'what it does'], rows)}`;
}

function renderExtensions(extensions: readonly ExtensionDeclaration[]): string {
  const rows = extensions.map(({ alias, description }) => [`\`${alias}\``, description]);
  return `## Extensions\n\n${table(['alias', 'what it brings'], rows)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`,
  );
  return `${lines.join('\n')}\n`;
}

function spoken(name: string): string {
  return name.replaceAll('_', ' ');
}
