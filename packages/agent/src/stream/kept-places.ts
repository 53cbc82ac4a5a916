import { isRecord } from '../json.ts';

/** Where in a network something is that is held: the port, its MAC and its addresses, which are one port's alone. */
export type Place = { readonly networkId: string; readonly names: readonly string[] };

const ENDPOINTS = 'endpoints:';
const GROUPS = ['group:', 'pods:', 'cluster_pods:'] as const;

/** The place of an item, whatever its value is; undefined: its kind is nowhere. */
export function placeOf(key: string, value: object): Place | undefined {
  if (!isRecord(value)) return undefined;
  if (key.startsWith(ENDPOINTS)) {
    const names = [value['portId'], value['macAddress'], ...listOf(value['ipAddresses'])];
    return placed(key.slice(ENDPOINTS.length), names);
  }
  if (GROUPS.some((kind) => key.startsWith(kind)))
    return placed(value['networkId'], [value['portId'], ...listOf(value['addresses'])]);
  if (!key.startsWith('host:') && !key.startsWith('standby:')) return undefined;
  const addresses = listOf(value['fixedIps']).map((one) => (isRecord(one) ? one['ipAddress'] : undefined));
  return placed(value['networkId'], [value['id'], value['macAddress'], ...addresses]);
}

function placed(networkId: unknown, names: readonly unknown[]): Place | undefined {
  if (typeof networkId !== 'string') return undefined;
  return { networkId, names: names.filter((name) => typeof name === 'string') };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
