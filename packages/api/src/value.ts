/** Checks and converts one value as its declaration says. Reasons are worded as Neutron words them: clients show and match them. */
import {
  type Attribute,
  type AttributeType,
  CableError,
  cidrContains,
  type ErrorCode,
  formatCidr,
  formatIp,
  type IpPrefix,
  isErrorCode,
  isMappedIp,
  isUuid,
  parseCidr,
  parseIp,
  parseIpOrCidr,
  parseMac,
} from '@cable/model';

/** A converted value, or why it is refused. */
export type Parsed = { readonly ok: true; readonly value: unknown } | Refused;

/** `isConversion`: it could not be made a value of the type at all, for which Neutron has another error (`refusedValue`). */
type Refused = {
  readonly ok: false;
  readonly reason: string;
  readonly isConversion?: true;
  /** The attribute's own error, with the text of the value. */
  readonly own?: { readonly code: ErrorCode; readonly message: string; readonly label?: string };
};

/** The error for a value that was refused, under the name that its client gave. */
export function refusedValue(name: string, { reason, isConversion, own }: Refused): CableError {
  const fields = { attribute: name, reason };
  if (own !== undefined) {
    const { code, message, label } = own;
    return new CableError(code, message, {
      ...(label === undefined ? {} : { label }),
      ...{ fields, detail: `${name}: ${reason}.` },
    });
  }
  if (isConversion) {
    const detail = `It was given for ${name}.`;
    return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`, { fields, detail });
  }
  return new CableError('HTTPBadRequest', `Invalid input for ${name}. Reason: ${reason}.`, { fields });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a control character is what is refused
const UNFIT = /[\u0000\p{Surrogate}]/u;

/** The same as `JSON.stringify` writes it: no backslash before it is of a pair of its own. */
const UNFIT_IN_JSON = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/** What no key of a store has. */
const UNFIT_FOR_KEY = /[\p{Control}\p{Surrogate}]/u;

/** Longest text that stands in a key as it is, in bytes of UTF-8. */
const KEY_TEXT_MAX_BYTES = 1024;

/** Longest `dict`, as JSON text. */
const DICT_MAX_LENGTH = 16384;

/** The value in canonical form (lower-case MAC and UUID, real booleans and integers; undefined: as if none were given), or the reason why not. */
export function parseValue(attribute: Attribute, value: unknown): Parsed {
  const parsed = parseAny(attribute, value);
  const { badValue } = attribute;
  if (parsed.ok || badValue === undefined || !isErrorCode(badValue.code)) return parsed;
  const message = badValue.message.replace('{value}', () => shortened(value));
  return { ...parsed, own: { ...badValue, code: badValue.code, message } };
}

function parseAny(attribute: Attribute, value: unknown): Parsed {
  if (value === null || (value === '' && attribute.emptyAsNull === true)) return parseNull(attribute);
  const refusal = typeof value === 'string' ? attribute.refuses?.[value] : undefined;
  if (refusal !== undefined) return bad(`${quote(value)}: ${refusal}`);
  const parsed = PARSERS[attribute.type](value, attribute);
  if (!parsed.ok || attribute.values === undefined) return parsed;
  const isStrict = attribute.strict === true;
  const found = attribute.values.find((one) =>
    isStrict ? one === parsed.value : String(one).toLowerCase() === String(parsed.value).toLowerCase(),
  );
  return found === undefined ? bad(`${quote(value)} is not in ${formatList(attribute.values)}`) : good(found);
}

/** Why the text cannot be a part of the store's keys, as a project's name and what identifies an object are; undefined: it can. */
export function unfitForKey(text: string): string | undefined {
  if (UNFIT_FOR_KEY.test(text)) return 'the text has a control character, or half a surrogate pair: give it without';
  return bytesOf(text) > KEY_TEXT_MAX_BYTES
    ? `the text exceeds maximum length of ${KEY_TEXT_MAX_BYTES} bytes`
    : undefined;
}

const good = (value: unknown): Parsed => ({ ok: true, value });
const bad = (reason: string): Parsed => ({ ok: false, reason });
const unconverted = (reason: string): Parsed => ({ ok: false, reason, isConversion: true });

/** Neutron takes null for an empty list; where values are strict it is none. */
function parseNull(attribute: Attribute): Parsed {
  if (attribute.nullAsAbsent) return good(undefined);
  if (attribute.nullable) return good(null);
  if (attribute.type === 'list' && attribute.strict !== true && Array.isArray(attribute.default))
    return good(attribute.default);
  return PARSERS[attribute.type](null, attribute);
}

type Parser = (value: unknown, attribute: Attribute) => Parsed;

const PARSERS: Readonly<Record<AttributeType, Parser>> = {
  string: parseText,
  boolean: parseBoolean,
  integer: parseInteger,
  number: (value, attribute) => {
    const number =
      typeof value === 'string' && attribute.strict !== true && /^\s*[+-]?\d/.test(value) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isFinite(number)) return unconverted(`${quote(value)} is not a number`);
    return withinBounds(number, value, attribute);
  },
  uuid: (value) =>
    typeof value === 'string' && isUuid(value) ? good(formatUuid(value)) : bad(`${quote(value)} is not a valid UUID`),
  ip: (value) => {
    const ip = typeof value === 'string' ? parseIp(value) : undefined;
    if (ip === undefined) return notAnIp(value);
    return isMappedIp(ip) ? mapped(value) : good(formatIp(ip));
  },
  cidr: parseSubnet,
  'ip-or-cidr': parsePrefix,
  mac: (value) => {
    const mac = typeof value === 'string' ? parseMac(value) : undefined;
    return mac === undefined ? bad(`${quote(value)} is not a valid MAC address`) : good(mac);
  },
  hostname: (value) =>
    typeof value === 'string' && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(value)
      ? good(value)
      : bad(`${quote(value)} is not a valid host name: give letters, digits and inner hyphens, at most 63`),
  base64: (value, attribute) => {
    const isBase64 =
      typeof value === 'string' &&
      /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value) &&
      value.replaceAll(/\s/g, '').length % 4 === 0;
    return isBase64 ? parseText(value, attribute) : bad('the text is not valid base64');
  },
  timestamp: (value) =>
    typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? good(value) : bad(`${quote(value)} is not a time`),
  list: parseList,
  object: parseObjectValue,
  dict: (value) => (isRecord(value) ? parseJsonValue(value) : bad(`${quote(value)} is not a dictionary`)),
  any: parseJsonValue,
};

/** Any JSON of bounded length, without what no text in the store has. */
function parseJsonValue(value: unknown): Parsed {
  const text = JSON.stringify(value);
  if (text.length > DICT_MAX_LENGTH) return bad(`exceeds maximum length of ${DICT_MAX_LENGTH}`);
  if (UNFIT_IN_JSON.test(text)) return bad('a text or a key in it has a NUL or half a surrogate pair');
  return good(value);
}

function parseText(given: unknown, attribute: Attribute): Parsed {
  const value = attribute.orInteger && Number.isSafeInteger(given) ? String(given) : given;
  if (typeof value !== 'string') return bad(`${quote(value)} is not a valid string`);
  if (UNFIT.test(value)) return bad('the text has a NUL or half a surrogate pair');
  if (lengthOf(value) > (attribute.maxLength ?? 255)) {
    return bad(`${quote(value)} exceeds maximum length of ${attribute.maxLength ?? 255}`);
  }
  if (attribute.maxBytes !== undefined && bytesOf(value) > attribute.maxBytes) {
    return bad(`${quote(value)} exceeds maximum length of ${attribute.maxBytes} bytes`);
  }
  const unfit = attribute.maxBytes === undefined ? undefined : unfitForKey(value);
  if (unfit !== undefined) return bad(unfit);
  if (lengthOf(value) < (attribute.minLength ?? 0))
    return bad(`${quote(value)} is shorter than ${attribute.minLength}`);
  return good(value);
}

/** In characters (code points), as Neutron and JSON Schema count: an emoji is one, though two in a JavaScript string. */
function lengthOf(text: string): number {
  let length = text.length;
  for (const pair of text.matchAll(/[\u{10000}-\u{10ffff}]/gu)) length -= pair[0].length - 1;
  return length;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Neutron's words for the two, in any case and with spaces around them. */
const TRUE: ReadonlySet<unknown> = new Set(['true', 't', '1', 'on', 'y', 'yes']);
const FALSE: ReadonlySet<unknown> = new Set(['false', 'f', '0', 'off', 'n', 'no']);

function parseBoolean(value: unknown, { strict }: Attribute): Parsed {
  if (typeof value === 'boolean') return good(value);
  if (strict === true) return bad(`${quote(value)} is neither true nor false`);
  const text = typeof value === 'string' || typeof value === 'number' ? String(value).trim().toLowerCase() : undefined;
  if (TRUE.has(text)) return good(true);
  if (FALSE.has(text)) return good(false);
  return unconverted(`${quote(value)} cannot be converted to boolean`);
}

const BEYOND = 'the number is beyond 2^53, up to which whole numbers are exact';

function parseInteger(value: unknown, attribute: Attribute): Parsed {
  const isText = typeof value === 'string' && attribute.strict !== true && /^\s*[+-]?\d{1,15}\s*$/.test(value);
  const number = isText ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    // It is not what was sent any more: JSON's numbers are read so.
    if (typeof number === 'number' && Number.isInteger(number)) return bad(BEYOND);
    return unconverted(`${quote(value)} is not an integer`);
  }
  return withinBounds(number, value, attribute);
}

function withinBounds(number: number, value: unknown, { minimum = number, maximum = number }: Attribute): Parsed {
  if (number < minimum) return bad(`${quote(value)} is too small - must be at least '${minimum}'`);
  if (number > maximum) return bad(`${quote(value)} is too large - must be no larger than '${maximum}'`);
  return good(number);
}

/** Where no route leads. */
const LOOPBACK: readonly IpPrefix[] = ['127.0.0.0/8', '::1/128'].flatMap((one) => parseCidr(one) ?? []);

function containsPrefix(outer: IpPrefix, inner: IpPrefix): boolean {
  return inner.prefixLength >= outer.prefixLength && cidrContains(outer, inner.base);
}

function parseSubnet(value: unknown, { hostBits, needsLength, routable }: Attribute): Parsed {
  const near = typeof value === 'string' ? parseIpOrCidr(value) : undefined;
  if (typeof value !== 'string' || near === undefined) {
    return hostBits === 'cleared' && needsLength !== true
      ? unconverted(`${shortened(value)} is not in a CIDR format`)
      : bad(`${quote(value)} is not a valid IP subnet`);
  }
  const isWhole = hostBits === 'cleared' && (value.includes('/') || needsLength !== true);
  const exact = isWhole ? near : parseCidr(value);
  if (exact !== undefined) {
    if (routable === true && LOOPBACK.some((one) => containsPrefix(one, exact)))
      return bad(`${quote(value)} is not a routable CIDR`);
    return isMappedIp(exact.base) ? mapped(value) : good(formatCidr(exact));
  }
  return bad(`${quote(value)} isn't a recognized IP subnet cidr, '${formatCidr(near)}' is recommended`);
}

/** An address stays an address; a prefix loses its host bits. */
function parsePrefix(value: unknown, { hostBits }: Attribute): Parsed {
  const prefix = typeof value === 'string' ? parseIpOrCidr(value) : undefined;
  if (typeof value !== 'string' || prefix === undefined)
    return bad(`${quote(value)} is not a valid IP address or prefix`);
  if (isMappedIp(prefix.base)) return mapped(value);
  if (!value.includes('/')) return good(formatIp(prefix.base));
  const given = hostBits === 'kept' ? parseIp(value.slice(0, value.indexOf('/'))) : undefined;
  return good(given === undefined ? formatCidr(prefix) : `${formatIp(given)}/${prefix.prefixLength}`);
}

/** Zeros in front of numbers are octal to some: Neutron says what it takes. */
function notAnIp(value: unknown): Parsed {
  const plain = typeof value === 'string' ? value.replaceAll(/(^|\.)0+(?=\d)/g, '$1') : '';
  const near = plain === value || plain.includes(':') ? undefined : parseIp(plain);
  if (near === undefined) return bad(`${quote(value)} is not a valid IP address`);
  return bad(`${quote(value)} is not an accepted IP address, '${formatIp(near)}' is recommended`);
}

/** No packet has one, and next to the IPv4 address itself it would be a second name of it. */
function mapped(value: unknown): Parsed {
  return bad(`${quote(value)} is IPv4 in IPv6 form, which no packet has: give it as IPv4`);
}

/** A value that two of the objects have of the property. */
function repeatedIn(objects: readonly Readonly<Record<string, unknown>>[], name: string): unknown {
  const seen = new Set<unknown>();
  return objects.map((one) => one[name]).find((value) => value !== undefined && (seen.has(value) || !seen.add(value)));
}

/** Why two of the objects are too much alike. */
function repeatedOf(
  { distinct = [], repeated }: Attribute,
  objects: readonly Readonly<Record<string, unknown>>[],
): string | undefined {
  const say = (value: unknown, otherwise = ''): string =>
    repeated === undefined ? otherwise : repeated.replace('{value}', () => shortened(value));
  for (const name of distinct) {
    const found = repeatedIn(objects, name);
    if (found !== undefined) return say(found, `${name} ${quote(found)} is given twice`);
  }
  if (repeated === undefined || distinct.length > 0) return undefined;
  const texts = objects.map((one) => JSON.stringify(one));
  const twice = objects.find((_one, at) => texts.indexOf(texts[at] ?? '') < at);
  return twice === undefined ? undefined : say(twice);
}

function parseList(value: unknown, attribute: Attribute): Parsed {
  if (!Array.isArray(value)) return bad(`${quote(value)} is not a list`);
  const limit = attribute.maxLength ?? 1000;
  if (value.length > limit) return bad(`the list has ${value.length} elements, more than ${limit}`);
  if (attribute.items === undefined) return good(value);
  const parsed: unknown[] = [];
  for (const one of value) {
    const element = parseValue(attribute.items, one);
    if (!element.ok) return element;
    parsed.push(element.value);
  }
  const repeated = repeatedOf(attribute, parsed as readonly Readonly<Record<string, unknown>>[]);
  if (repeated !== undefined) return bad(repeated);
  const mayRepeat = attribute.repeats === true || attribute.items.type === 'object';
  const twice = mayRepeat ? [] : duplicatesOf(parsed);
  if (twice.length === 0) return good(parsed);
  return bad(
    `Duplicate items in the list: ${quote(
      [...new Set(twice)]
        .slice(0, 20)
        .map((one) => spelled(one))
        .join(', '),
    )}`,
  );
}

/** Each that is there before, as often as it is again. */
function duplicatesOf(list: readonly unknown[]): readonly unknown[] {
  const seen = new Set<unknown>();
  return list.filter((one) => seen.has(one) || !seen.add(one));
}

function parseObjectValue(value: unknown, attribute: Attribute): Parsed {
  if (!isRecord(value)) return bad(`${quote(value)} is not a dictionary`);
  const properties = attribute.properties ?? {};
  const extra = Object.keys(value).filter((name) => !Object.hasOwn(properties, name));
  if (extra.length > 0 && attribute.besides === undefined)
    return bad(`Unexpected keys supplied: ${extra.slice(0, 10).join(', ')}`);
  const parsed: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(properties)) {
    const given = value[name];
    if (given === undefined && isRequired(property, value)) return bad(`Expected keys not found: ${name}`);
    if (given === undefined) continue;
    const inner = parseValue(property, given);
    if (!inner.ok) return { ...inner, reason: `${name}: ${inner.reason}` };
    parsed[name] = inner.value;
  }
  return good(parsed);
}

function isRequired({ required, requiredUnless }: Attribute, beside: Readonly<Record<string, unknown>>): boolean {
  return required ?? (requiredUnless !== undefined && beside[requiredUnless.attribute] !== requiredUnless.is);
}

/** A value in quotes, shortened, on one line. */
function quote(value: unknown): string {
  return `'${shortened(value)}'`;
}

function shortened(value: unknown): string {
  const text = spelled(value);
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}

/** As Python writes it: what Neutron's clients have seen in its messages. */
function spelled(value: unknown, isInner = false): string {
  if (typeof value === 'string') return isInner ? `'${value}'` : value;
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map((one) => spelled(one, true)).join(', ')}]`;
  if (!isRecord(value)) return String(value);
  return `{${Object.entries(value)
    .map(([name, one]) => `'${name}': ${spelled(one, true)}`)
    .join(', ')}}`;
}

function formatList(values: readonly unknown[]): string {
  const shown = values.slice(0, 20).map((one) => (typeof one === 'number' ? String(one) : quote(one)));
  return `[${shown.join(', ')}]`;
}

function formatUuid(text: string): string {
  const hex = text.replaceAll('-', '').toLowerCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
