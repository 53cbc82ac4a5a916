/** What of two clouds' answers to one command is alike: everything but what each chooses for itself, which gets a name of where it was first seen. */
import { isDeepStrictEqual } from 'node:util';
import type { Output } from './openstack-client.ts';

/** IDs of one cloud and what stands for them: `<network red>`. */
export type Names = Map<string, string>;

/** An answer in which nothing is left that a cloud chooses. `out`: what its JSON says, or its text. */
export type Answer = { readonly code: number; readonly out: unknown; readonly err: string };

const ID = /\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/g;

/** What a cloud chooses, or what says when and where it was. */
const CHOSEN: readonly (readonly [RegExp, string])[] = [
  [/\breq-[0-9a-f-]{36}\b/g, '<request>'],
  [/http:\/\/127\.0\.0\.1:\d+/g, '<url>'],
  [/\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?/g, '<time>'],
  [/\bfa:16:3e(?::[0-9a-f]{2}){3}\b/g, '<mac>'],
  [/\bf816:3eff:fe[0-9a-f]{2}:[0-9a-f]{1,4}\b/g, '<interface of mac>'],
  [/\bf816-3eff-fe[0-9a-f]{2}-[0-9a-f]{1,4}\b/g, '<interface of mac>'],
  [/"region_name": "\w+"/g, '"region_name": "<region>"'],
  // Of Neutron's table of standard attributes.
  [/"standard_attr_id": \d+/g, '"standard_attr_id": "<number>"'],
];

/** Lists of texts whose order says nothing. */
const WITHOUT_ORDER =
  /^(tags|security_group_ids|security_groups|Security Groups|subnets|subnet_ids|Subnets|addresses|Addresses|prefixes|Prefixes|service_types|availability_zones|service_profile_ids|network_ids|Tags|Resource_Type|drivers)$/;

/** `place`: of the command, after which IDs are named that nobody has seen yet. */
export function settle({ code, out, err }: Output, names: Names, place: string): Answer {
  const text = without(out, names);
  const parsed = parse(text);
  const fresh = new Map<string, string>();
  const nameFresh = (found: string): string => {
    const known = fresh.get(found) ?? names.get(found) ?? `<${place}${fresh.size === 0 ? '' : `.${fresh.size + 1}`}>`;
    fresh.set(found, known);
    return known;
  };
  const settled = mapTexts(sorted(parsed ?? text), (one) => one.replace(ID, nameFresh));
  const settledErr = inOrder(without(err, names).replace(ID, nameFresh)).trim();
  for (const [id, name] of fresh) names.set(id, name);
  return { code, out: typeof settled === 'string' ? settled.trim() : settled, err: settledErr };
}

/** Lists of names in a text, whose order says nothing. */
function inOrder(text: string): string {
  return text.replace(/<[^<>]+>(?:, ?<[^<>]+>)+/g, (list) => list.split(/, ?/).sort().join(', '));
}

/** What the two differ in, a line each: `mtu: 1450 -> 1500`, the stock server's first. */
export function differencesOf(stock: Answer, cable: Answer): readonly string[] {
  return [
    ...unlike('exit', stock.code, cable.code),
    ...compareOut(stock.out, cable.out),
    ...unlike('error', stock.err, cable.err),
  ];
}

/** In what two settled outputs differ, a line each. */
export function compareOut(stock: unknown, cable: unknown): readonly string[] {
  if (isRows(stock) && isRows(cable)) return compareRows(stock, cable);
  if (isRecord(stock) && isRecord(cable)) return compareFields(stock, cable);
  return unlike('output', stock, cable);
}

function compareFields(stock: Row, cable: Row): readonly string[] {
  const keys = new Set([...Object.keys(stock), ...Object.keys(cable)]);
  return [...keys].flatMap((key) => compare(key, stock[key], cable[key]));
}

/** Rows of one ID are compared field by field; others are there or not. */
function compareRows(stock: readonly Row[], cable: readonly Row[]): readonly string[] {
  const keys = new Set([...stock, ...cable].map(keyOf));
  return [...keys].flatMap((key) => {
    const ofKey = (row: Row): boolean => keyOf(row) === key;
    const [left, right] = [stock.filter(ofKey), cable.filter(ofKey)];
    const [one, other] = [left[0], right[0]];
    if (left.length === 1 && right.length === 1 && one !== undefined && other !== undefined)
      return compareFields(one, other).map((difference) => `row ${key}: ${difference}`);
    return unlike(`row ${key}`, left, right);
  });
}

type Row = Readonly<Record<string, unknown>>;

function keyOf(row: Row): string {
  const key = row['ID'] ?? row['id'] ?? row['Alias'] ?? row['Name'] ?? row['Resource'];
  return key === undefined ? JSON.stringify(row) : String(key);
}

function compare(what: string, stock: unknown, cable: unknown): readonly string[] {
  if (isRows(stock) && isRows(cable)) return compareRows(stock, cable).map((difference) => `${what} ${difference}`);
  if (isRecord(stock) && isRecord(cable))
    return compareFields(stock, cable).map((difference) => `${what}.${difference}`);
  return unlike(what, stock, cable);
}

function unlike(what: string, stock: unknown, cable: unknown): readonly string[] {
  return isDeepStrictEqual(stock, cable) ? [] : [`${what}: ${show(stock)} -> ${show(cable)}`];
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

function without(text: string, names: Names): string {
  let rest = text.replace(/\b[0-9a-f]{32}\b/g, (id) => names.get(id) ?? id);
  for (const [pattern, name] of CHOSEN) rest = rest.replace(pattern, name);
  return rest.replace(ID, (id) => names.get(id) ?? id);
}

/** Objects in lists, and texts in some, in an order of what they say, IDs that have no name being alike. */
function sorted(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => sorted(item));
    const isFree = items.every(isRecord) || WITHOUT_ORDER.test(key);
    return isFree ? items.sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1)) : items;
  }
  if (!isRecord(value)) return value;
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(fields.map(([name, inner]) => [name, sorted(inner, name)]));
}

function orderOf(item: unknown): string {
  return JSON.stringify(item).replace(ID, '~');
}

function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [change(name), mapTexts(inner, change)]));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isRows(value: unknown): value is readonly Row[] {
  return Array.isArray(value) && value.every(isRecord);
}

function isRecord(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
