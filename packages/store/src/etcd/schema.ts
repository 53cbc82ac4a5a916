/**
 * The part of etcd's v3 API that Cable uses, as a protobuf descriptor: field numbers and names are etcd's public ones
 * (https://etcd.io/docs/v3.4/learning/api/). Fields that are not used are left out; protobuf readers skip them.
 * Wire types of the answers: int64 as decimal text, bytes as Buffer, absent fields as their defaults.
 */

type Field = readonly [type: string, id: number, rule?: 'repeated'];

/** Messages by name, with their fields. */
const MESSAGES: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  KeyValue: {
    key: ['bytes', 1],
    create_revision: ['int64', 2],
    mod_revision: ['int64', 3],
    value: ['bytes', 5],
    lease: ['int64', 6],
  },
  Event: { type: ['int32', 1], kv: ['KeyValue', 2] },
  ResponseHeader: { revision: ['int64', 3] },
  RangeRequest: {
    key: ['bytes', 1],
    range_end: ['bytes', 2],
    limit: ['int64', 3],
    revision: ['int64', 4],
    keys_only: ['bool', 8],
  },
  RangeResponse: { header: ['ResponseHeader', 1], kvs: ['KeyValue', 2, 'repeated'], more: ['bool', 3] },
  PutRequest: {
    key: ['bytes', 1],
    value: ['bytes', 2],
    lease: ['int64', 3],
    ignore_value: ['bool', 5],
    ignore_lease: ['bool', 6],
  },
  DeleteRangeRequest: { key: ['bytes', 1], range_end: ['bytes', 2] },
  RequestOp: {
    request_range: ['RangeRequest', 1],
    request_put: ['PutRequest', 2],
    request_delete_range: ['DeleteRangeRequest', 3],
    request_txn: ['TxnRequest', 4],
  },
  ResponseOp: { response_range: ['RangeResponse', 1], response_txn: ['TxnResponse', 4] },
  Compare: {
    result: ['int32', 1],
    target: ['int32', 2],
    key: ['bytes', 3],
    version: ['int64', 4],
    mod_revision: ['int64', 6],
    value: ['bytes', 7],
    range_end: ['bytes', 64],
  },
  TxnRequest: {
    compare: ['Compare', 1, 'repeated'],
    success: ['RequestOp', 2, 'repeated'],
    failure: ['RequestOp', 3, 'repeated'],
  },
  TxnResponse: { header: ['ResponseHeader', 1], succeeded: ['bool', 2], responses: ['ResponseOp', 3, 'repeated'] },
  CompactionRequest: { revision: ['int64', 1] },
  CompactionResponse: { header: ['ResponseHeader', 1] },
  WatchCreateRequest: {
    key: ['bytes', 1],
    range_end: ['bytes', 2],
    start_revision: ['int64', 3],
    progress_notify: ['bool', 4],
    fragment: ['bool', 8],
  },
  WatchRequest: { create_request: ['WatchCreateRequest', 1] },
  WatchResponse: {
    header: ['ResponseHeader', 1],
    created: ['bool', 3],
    canceled: ['bool', 4],
    compact_revision: ['int64', 5],
    cancel_reason: ['string', 6],
    fragment: ['bool', 7],
    events: ['Event', 11, 'repeated'],
  },
  LeaseGrantRequest: { TTL: ['int64', 1] },
  LeaseGrantResponse: { ID: ['int64', 2] },
  LeaseRevokeRequest: { ID: ['int64', 1] },
  LeaseRevokeResponse: { header: ['ResponseHeader', 1] },
  LeaseKeepAliveRequest: { ID: ['int64', 1] },
  LeaseKeepAliveResponse: { ID: ['int64', 2], TTL: ['int64', 3] },
};

type MethodShape = { readonly requestType: string; readonly responseType: string; readonly isStream?: true };

const SERVICES: Readonly<Record<string, Readonly<Record<string, MethodShape>>>> = {
  KV: {
    Range: { requestType: 'RangeRequest', responseType: 'RangeResponse' },
    Txn: { requestType: 'TxnRequest', responseType: 'TxnResponse' },
    Compact: { requestType: 'CompactionRequest', responseType: 'CompactionResponse' },
  },
  Watch: { Watch: { requestType: 'WatchRequest', responseType: 'WatchResponse', isStream: true } },
  Lease: {
    LeaseGrant: { requestType: 'LeaseGrantRequest', responseType: 'LeaseGrantResponse' },
    LeaseRevoke: { requestType: 'LeaseRevokeRequest', responseType: 'LeaseRevokeResponse' },
    LeaseKeepAlive: {
      requestType: 'LeaseKeepAliveRequest',
      responseType: 'LeaseKeepAliveResponse',
      isStream: true,
    },
  },
};

/** The descriptor in protobuf.js's JSON form. */
export function describeEtcd(): { nested: Record<string, object> } {
  const messages = Object.entries(MESSAGES).map(([name, fields]) => [name, { fields: describeFields(fields) }]);
  const services = Object.entries(SERVICES).map(([name, methods]) => [name, { methods: describeMethods(methods) }]);
  return { nested: { etcdserverpb: { nested: Object.fromEntries([...messages, ...services]) } } };
}

function describeFields(fields: Readonly<Record<string, Field>>): object {
  const entries = Object.entries(fields).map(([name, [type, id, rule]]) => [name, { type, id, ...(rule && { rule }) }]);
  return Object.fromEntries(entries);
}

function describeMethods(methods: Readonly<Record<string, MethodShape>>): object {
  const entries = Object.entries(methods).map(([name, { requestType, responseType, isStream }]) => [
    name,
    { requestType, responseType, ...(isStream && { requestStream: true, responseStream: true }) },
  ]);
  return Object.fromEntries(entries);
}

export type Header = { readonly revision: string };

export type WireKeyValue = {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  /** '0': none. */
  readonly lease: string;
};

export type RangeRequest = {
  readonly key: Buffer;
  readonly range_end?: Buffer;
  readonly limit?: number;
  /** 0 or absent: now. */
  readonly revision?: number;
  readonly keys_only?: boolean;
};

export type RangeResponse = {
  readonly header: Header | null;
  readonly kvs: readonly WireKeyValue[];
  readonly more: boolean;
};

/** `result`: 0 equal, 1 greater. `target`: 0 version, 2 mod revision, 3 value. With `range_end`, all keys of the range must fit. */
export type WireCompare = {
  readonly result: 0 | 1;
  readonly target: 0 | 2 | 3;
  readonly key: Buffer;
  readonly version?: number;
  readonly mod_revision?: number;
  readonly value?: Buffer;
  readonly range_end?: Buffer;
};

export type WireOp =
  | { readonly request_range: RangeRequest }
  /** `ignore_value`, `ignore_lease`: keeps the value, or lease, of the key, and refuses the request when there is no such key. */
  | {
      readonly request_put: {
        readonly key: Buffer;
        readonly value: Buffer;
        readonly lease: string;
        readonly ignore_value?: true;
        readonly ignore_lease?: true;
      };
    }
  | { readonly request_delete_range: { readonly key: Buffer; readonly range_end?: Buffer } }
  | { readonly request_txn: TxnRequest };

export type TxnRequest = {
  readonly compare: readonly WireCompare[];
  readonly success: readonly WireOp[];
  readonly failure: readonly WireOp[];
};

export type TxnResponse = {
  readonly header: Header | null;
  readonly succeeded: boolean;
  readonly responses: readonly {
    readonly response_range: RangeResponse | null;
    readonly response_txn: TxnResponse | null;
  }[];
};

export type WatchRequest = {
  readonly create_request: {
    readonly key: Buffer;
    readonly range_end: Buffer;
    readonly start_revision: number;
    readonly progress_notify: true;
    readonly fragment: true;
  };
};

export type WatchResponse = {
  readonly header: Header | null;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  /** True: the same events go on in the next response. */
  readonly fragment: boolean;
  /** `type` 0: put, 1: delete. */
  readonly events: readonly { readonly type: number; readonly kv: WireKeyValue }[];
};
