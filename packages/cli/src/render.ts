import Table from 'cli-table3';

/** One line of a table, by column. */
export type Row = Readonly<Record<string, unknown>>;

const ASCII = {
  ...{ top: '-', 'top-mid': '+', 'top-left': '+', 'top-right': '+' },
  ...{ bottom: '-', 'bottom-mid': '+', 'bottom-left': '+', 'bottom-right': '+' },
  ...{ left: '|', 'left-mid': '+', mid: '-', 'mid-mid': '+', right: '|', 'right-mid': '+', middle: '|' },
};

/** A table with a heading, in plain characters. */
export function renderTable(columns: readonly string[], rows: readonly Row[]): string {
  const table = new Table({ head: columns.map(cell), chars: ASCII, style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push(columns.map((column) => cell(row[column])));
  return `${table.toString()}\n`;
}

/** One object: a line for each of its attributes. */
export function renderObject(object: Row, columns: readonly string[] = Object.keys(object)): string {
  return renderTable(
    ['field', 'value'],
    columns.map((column) => ({ field: column, value: object[column] })),
  );
}

/** Objects within become attributes of their own with dotted names: `server.disk.ok`. */
export function flatten(object: Row, prefix = ''): Row {
  return Object.fromEntries(
    Object.entries(object).flatMap(([name, value]): readonly (readonly [string, unknown])[] =>
      isRow(value) ? Object.entries(flatten(value, `${prefix}${name}.`)) : [[`${prefix}${name}`, value]],
    ),
  );
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function renderJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** The object with only some of its attributes, in their order. */
export function pickColumns(object: Row, columns: readonly string[]): Row {
  return Object.fromEntries(columns.map((column) => [column, object[column]]));
}

/** A value as text: lists a line for each element, objects as key=value. */
function cell(value: unknown): string {
  if (Array.isArray(value)) return value.map(inline).join('\n');
  return inline(value);
}

/** Attributes of an object in a cell that are left out: every object has them. */
const DULL: ReadonlySet<string> = new Set([
  ...['tenant_id', 'project_id', 'description', 'created_at', 'updated_at', 'revision_number'],
]);

function inline(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'object') return harmless(String(value));
  if (Array.isArray(value)) return value.map(inline).join(', ');
  return Object.entries(value)
    .filter(([key, inner]) => !DULL.has(key) && inline(inner) !== '')
    .map(([key, inner]) => `${harmless(key)}=${inline(inner)}`)
    .join(', ');
}

/** Names are other people's text: control characters could drive the terminal, and those that turn the direction of text hide what it says. */
export function harmless(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, (char) => {
    const code = char.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code}` : `\\x${code.padStart(2, '0')}`;
  });
}

/** The same of a text of several lines. */
export function harmlessLines(text: string): string {
  return text.split('\n').map(harmless).join('\n');
}
