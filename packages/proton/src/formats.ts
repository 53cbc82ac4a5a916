/** Formats of texts, each checked in time that is linear in the text, or on a short one only. */
import { parseCidr, parseIp } from '@cable/model';
import addFormats from 'ajv-formats';

/** RFC 5321 §4.5.3.1, RFC 1123 §2.1; addresses of the Web are cut nowhere, but nobody has longer ones. */
const LENGTHS = { email: 254, hostname: 253, uri: 2048, 'date-time': 64, 'iso-date-time': 64 } as const;

/** Characters of the longest text of a format; one that is not here has none. */
export const FORMAT_LENGTHS: Readonly<Record<string, number>> = {
  ...LENGTHS,
  ipv4: 15,
  ipv6: 45,
  cidr: 49,
  mac: 17,
  uuid: 36,
};

/** By name, as a schema has it. `iso-date-time` may lack the time zone: format 1.0's `date-time`. `uuid` may lack the hyphens, as projects of Keystone do. */
export const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  ipv4: (text) => parseIp(text)?.version === 4,
  ipv6: (text) => parseIp(text)?.version === 6,
  cidr: (text) => parseCidr(text) !== undefined,
  mac: (text) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text),
  uuid: (text) => /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32})$/i.test(text),
  hostname: short('hostname'),
  'date-time': short('date-time'),
  'iso-date-time': short('iso-date-time'),
  uri: short('uri'),
  email: short('email'),
  json: isJson,
};

/** What a model of format 2.0 may name. */
export const FORMAT_NAMES = [
  'ipv4',
  'ipv6',
  'cidr',
  'mac',
  'uuid',
  'hostname',
  'date-time',
  'uri',
  'email',
  'json',
] as const;

function short(name: keyof typeof LENGTHS): (text: string) => boolean {
  const max = LENGTHS[name];
  const format = addFormats.default.get(name, 'full');
  if (format instanceof RegExp) return (text) => text.length <= max && format.test(text);
  const validate = typeof format === 'object' && 'validate' in format ? format.validate : format;
  if (validate instanceof RegExp) return (text) => text.length <= max && validate.test(text);
  if (typeof validate !== 'function') throw new Error(`no format ${name}`);
  const check = validate as (text: string) => boolean;
  return (text) => text.length <= max && check(text);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
