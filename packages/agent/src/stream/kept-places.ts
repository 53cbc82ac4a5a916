import { isRecord } from '../json.ts';

/** Where in a network something is that is held: the port, its MAC and its addresses, which are one port's alone. */
export type Place = { readonly networkId: string; readonly names: readonly string[] };

/** The place of an item, whatever its value is; undefined: its kind is nowhere. */
export function placeOf(key: string, value: object): Place | undefined {
  if (!isRecord(value)) return undefined;
  const [kind, id = ''] = split(key);
  if (kind === 'endpoints') return placed(id, [value['portId'], value['macAddress'], ...listOf(value['ipAddresses'])]);
  if (kind === 'group') return placed(value['networkId'], [value['portId'], ...listOf(value['addresses'])]);
  if (kind !== 'host') return undefined;
  const addresses = listOf(value['fixedIps']).map((one) => (isRecord(one) ? one['ipAddress'] : undefined));
  return placed(value['networkId'], [value['id'], value['macAddress'], ...addresses]);
}

function placed(networkId: unknown, names: readonly unknown[]): Place | undefined {
  if (typeof networkId !== 'string') return undefined;
  return { networkId, names: names.filter((name) => typeof name === 'string') };
}

function split(key: string): readonly [kind: string, id?: string] {
  const at = key.indexOf(':');
  return at < 0 ? [key] : [key.slice(0, at), key.slice(at + 1)];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
