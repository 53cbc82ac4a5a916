import type { Attribute } from '@cable/model';

/** A value that the attribute may have: the declared example, else a default that says something, else one that follows from the type. */
export function exampleOf(attribute: Attribute): unknown {
  const { example, values, default: value, items, properties, type } = attribute;
  if (example !== undefined) return example;
  if (values?.[0] !== undefined) return value ?? values[0];
  if (items !== undefined) return [exampleOf(items)];
  if (properties !== undefined) {
    return Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, exampleOf(one)]));
  }
  return value ?? BY_TYPE[type];
}

const BY_TYPE: { readonly [T in Attribute['type']]: unknown } = {
  string: 'text',
  boolean: true,
  integer: 1,
  uuid: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b',
  ip: '10.0.0.5',
  cidr: '10.0.0.0/24',
  'ip-or-cidr': '10.0.0.0/24',
  mac: 'fa:16:3e:4c:2c:30',
  hostname: 'web-1',
  base64: 'aGk=',
  timestamp: '2026-11-26T12:00:00Z',
  list: [],
  object: {},
  dict: {},
  number: 1.5,
  any: {},
};
