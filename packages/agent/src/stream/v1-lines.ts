import type {
  EndpointsHeader,
  GroupHeader,
  HostHeader,
  NetworkHeader,
  NetworkSliceV1,
  PolicyHeader,
  RouterHeader,
  RouterSliceV1,
  SliceV1,
} from '@cable/model';
import { isRecord, parseJson } from '../json.ts';
import { ownHash } from './digest.ts';
import { isRevision } from './server-line.ts';
import type { ContentLine } from './staged-lines.ts';

/** A line of protocol 1 as the agent takes it: as lines on content, or the end of a change. `unknown`: passed over. */
export type ParsedLineV1 =
  | { readonly type: 'content'; readonly lines: readonly ContentLine[] }
  | { readonly type: 'sync'; readonly revision: number; readonly keys: readonly string[] }
  | { readonly type: 'bookmark'; readonly revision: number }
  | { readonly type: 'unknown' };

/**
 * Undefined: not a line of protocol 1. `deliberate`: what a slice does not list any more was deleted, since the stream is in sync; before that it may be
 * that the server does not know it.
 */
export function parseLineV1(text: string, deliberate: boolean): ParsedLineV1 | undefined {
  const line = parseJson(text);
  if (!isRecord(line) || typeof line['type'] !== 'string') return undefined;
  const { type, key, slice, revision, keys } = line;
  switch (type) {
    case 'put': {
      if (typeof key !== 'string' || !isRecord(slice)) return undefined;
      const lines = linesOfSlice(key, slice, deliberate);
      return lines === undefined ? { type: 'unknown' } : { type: 'content', lines };
    }
    case 'delete':
      if (typeof key !== 'string') return undefined;
      return { type: 'content', lines: sliceKeysOf(key).map((one) => ({ type: 'drop', key: one })) };
    case 'sync':
      if (!isRevision(revision) || !Array.isArray(keys)) return undefined;
      return { type: 'sync', revision, keys: keys.flatMap((one) => sliceKeysOf(String(one))) };
    case 'bookmark':
      return isRevision(revision) ? { type: 'bookmark', revision } : undefined;
    default:
      return { type: 'unknown' };
  }
}

/** Keys of the slices that one of protocol 1 is now: a network's endpoints are apart. */
export function sliceKeysOf(key: string): readonly string[] {
  return key.startsWith('network:') ? [key, `endpoints:${key.slice('network:'.length)}`] : [key];
}

/** The slice taken apart; undefined: it is of no kind that protocol 1 had. */
export function linesOfSlice(key: string, slice: object, deliberate: boolean): readonly ContentLine[] | undefined {
  const parts = partsOf(key, slice as SliceV1);
  return parts?.flatMap((part): ContentLine[] => [
    { type: 'reset', key: part.key, deliberate },
    { type: 'header', key: part.key, held: { hash: ownHash(part.header), value: part.header } },
    ...part.items.map(
      ([item, value]): ContentLine => ({
        type: 'put',
        key: part.key,
        item,
        held: { hash: ownHash(value), value },
      }),
    ),
  ]);
}

type Part = {
  readonly key: string;
  readonly header: object;
  readonly items: readonly (readonly [item: string, value: object])[];
};

function partsOf(key: string, slice: SliceV1): readonly Part[] | undefined {
  switch (slice.kind) {
    case 'host': {
      const header: HostHeader = { host: slice.host };
      return [{ key, header, items: slice.ports.map((port) => [port.id, port]) }];
    }
    case 'network': {
      const header: EndpointsHeader = { networkId: slice.id };
      const items = slice.endpoints.map((endpoint) => [endpoint.portId, endpoint] as const);
      return [
        { key, header: networkHeader(slice), items: [] },
        { key: `endpoints:${slice.id}`, header, items },
      ];
    }
    case 'router': {
      const items = slice.interfaces.map((leg) => [`${leg.portId}/${leg.ipAddress}`, leg] as const);
      return [{ key, header: routerHeader(slice), items }];
    }
    case 'policy': {
      const header: PolicyHeader = { id: slice.id };
      return [{ key, header, items: slice.rules.map((rule) => [rule.id, rule]) }];
    }
    case 'group': {
      const header: GroupHeader = { id: slice.id };
      return [{ key, header, items: slice.members.map((member) => [member.portId, member]) }];
    }
    default:
      return undefined;
  }
}

/** In protocol 1 a network that is down shows as ports that are down. */
function networkHeader({ id, name, projectId, vni, mtuBytes, subnets }: NetworkSliceV1): NetworkHeader {
  return { id, name, projectId, adminStateUp: true, vni, mtuBytes, subnets };
}

function routerHeader({ id, name, adminStateUp, routes }: RouterSliceV1): RouterHeader {
  return { id, name, adminStateUp, routes };
}
