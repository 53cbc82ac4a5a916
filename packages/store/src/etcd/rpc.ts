import {
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { StoreError } from '../errors.ts';
import { startPatience } from './patience.ts';
import {
  describeEtcd,
  type Header,
  type RangeRequest,
  type RangeResponse,
  type TxnRequest,
  type TxnResponse,
  type WatchRequest,
  type WatchResponse,
} from './schema.ts';
import { channelTo, type EtcdTls } from './tls.ts';

/** One method of etcd's API: how to call it. */
export type Method<Request, Response> = {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
};

/** The methods that Cable calls. */
export type EtcdMethods = {
  readonly range: Method<RangeRequest, RangeResponse>;
  readonly txn: Method<TxnRequest, TxnResponse>;
  readonly compact: Method<{ readonly revision: number }, { readonly header: Header | null }>;
  readonly watch: Method<WatchRequest, WatchResponse>;
  readonly leaseGrant: Method<{ readonly TTL: number }, { readonly ID: string }>;
  readonly leaseRevoke: Method<{ readonly ID: string }, object>;
  readonly leaseKeepAlive: Method<{ readonly ID: string }, { readonly ID: string; readonly TTL: string }>;
};

/** Builds the methods from the descriptor. */
export function createMethods(): EtcdMethods {
  const services = fromJSON(describeEtcd(), { keepCase: true, longs: String, defaults: true });
  const method = <Request, Response>(service: string, name: string): Method<Request, Response> => {
    const found = (services[`etcdserverpb.${service}`] as Readonly<Record<string, unknown>> | undefined)?.[name];
    if (found === undefined) throw new Error(`the etcd descriptor has no method ${service}.${name}`);
    return found as Method<Request, Response>;
  };
  return {
    range: method('KV', 'Range'),
    txn: method('KV', 'Txn'),
    compact: method('KV', 'Compact'),
    watch: method('Watch', 'Watch'),
    leaseGrant: method('Lease', 'LeaseGrant'),
    leaseRevoke: method('Lease', 'LeaseRevoke'),
    leaseKeepAlive: method('Lease', 'LeaseKeepAlive'),
  };
}

/** A dead connection is noticed after 10 s + 5 s; one that was refused is tried again within a second. */
const CHANNEL: ChannelOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // HTTP/2's 64 KiB take a turn of a busy event loop for each 64 KiB of a list.
  'grpc-node.flow_control_window': 4 << 20,
  // Each store has connections of its own, so that closing one does not touch another.
  'grpc.use_local_subchannel_pool': 1,
};

/** A client of one endpoint; it connects when first used. */
export function createEndpointClient(endpoint: string, tls?: EtcdTls): Client {
  const { credentials, options } = channelTo(endpoint, tls);
  return new Client(endpoint, credentials, { ...CHANNEL, ...options });
}

/** What ends the calls of a set, each: a call is in it while it is under way. */
export type Ends = Set<() => void>;

/**
 * `deadlineMs`: time of `performance.now()`. `patienceMs`: how long it may take as `startPatience` counts. `signal` ends the call, and so does the function that
 * is in `ends` meanwhile.
 */
export type UnaryOptions = {
  readonly deadlineMs?: number;
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
  readonly ends: Ends;
};

/** Calls a method and waits for the answer. Throws grpc's `ServiceError`, also when the deadline or something else ends it. */
export function callUnary<Request, Response>(
  client: Client,
  method: Method<Request, Response>,
  request: Request,
  { deadlineMs, patienceMs, signal, ends }: UnaryOptions,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const end = (): void => call.cancel();
    const stop = patienceMs === undefined ? undefined : startPatience(patienceMs, end);
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs - performance.now() },
      (err, response) => {
        ends.delete(end);
        stop?.();
        signal?.removeEventListener('abort', end);
        if (err !== null) reject(err);
        else if (response === undefined) reject(new Error(`${method.path}: empty answer`));
        else resolve(response);
      },
    );
    ends.add(end);
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted) end();
  });
}

/** Opens a stream in both directions. It ends when its member loses the cluster's leader. */
export function openBidi<Request, Response>(
  client: Client,
  method: Method<Request, Response>,
): ClientDuplexStream<Request, Response> {
  const metadata = new Metadata();
  metadata.set('hasleader', 'true');
  const call = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    metadata,
    {},
  );
  // Whoever reads the stream gets its error; without a listener a cancelled stream would end the process.
  call.on('error', () => undefined);
  return call;
}

/** True when another member, or the same one later, may answer. */
export function isUnavailable(err: unknown): boolean {
  return (
    isServiceError(err) &&
    (UNAVAILABLE.has(err.code) || (err.code === status.UNKNOWN && !/etcdserver/.test(err.details)))
  );
}

const UNAVAILABLE: ReadonlySet<status> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.INTERNAL,
  status.ABORTED,
]);

/** True when etcd says with it that it does nothing (a request that passes its quota excepted: `full`). */
export function isRefusal(error: StoreError): boolean {
  return REFUSALS.has(error.code);
}

const REFUSALS: ReadonlySet<string> = new Set(['invalid', 'too-large', 'lease-gone', 'full']);

/** True when the request was refused because a part of it was (`encodeTxn`). */
export function isRefusedPart(err: unknown): boolean {
  const cause = err instanceof StoreError ? err.cause : err;
  return isServiceError(cause) && cause.code === status.INVALID_ARGUMENT && /key not found/.test(cause.details);
}

/** What etcd's or grpc's error means in the store's contract. `what`: the call, for the message. */
export function explainError(err: unknown, what: string): StoreError {
  if (err instanceof StoreError) return err;
  if (!isServiceError(err)) return new StoreError('unavailable', `etcd ${what} failed`, err);
  const { code, details } = err;
  if (code === status.OUT_OF_RANGE && /compacted/.test(details)) return new StoreError('compacted', details, err);
  if (code === status.NOT_FOUND && /lease/.test(details)) return new StoreError('lease-gone', details, err);
  if (code === status.INVALID_ARGUMENT && /too large/.test(details)) return new StoreError('too-large', details, err);
  if (code === status.INVALID_ARGUMENT || code === status.OUT_OF_RANGE) return new StoreError('invalid', details, err);
  if (code === status.RESOURCE_EXHAUSTED && /space/.test(details)) {
    const remedy = 'compact and defragment it, then disarm its alarm (etcdctl alarm disarm)';
    return new StoreError('full', `etcd has no space left: ${remedy}`, err);
  }
  return new StoreError('unavailable', `etcd ${what} failed: ${details}`, err);
}

function isServiceError(err: unknown): err is ServiceError {
  return err instanceof Error && 'code' in err && 'details' in err && typeof err.code === 'number';
}
