import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { Compare, Op } from '@cable/store';
import type { Transaction } from './port-transaction.ts';

/**
 * etcd's own API, one call a transaction: the peer that the server's figures are beside. The messages are made by hand, as lean as the requests to the server, because
 * a gRPC library would cost the client more than the transaction costs etcd.
 */
export class EtcdConnection {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  /** `endpoint`: `HOST:PORT`. Throws when nobody listens there. */
  static async open(endpoint: string): Promise<EtcdConnection> {
    const session = connect(`http://${endpoint}`);
    await once(session, 'connect');
    return new EtcdConnection(session);
  }

  /** Resolves when the transaction is durable; throws when it was refused, or failed. */
  transact(transaction: Transaction): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream = this.#session.request(HEADERS);
      const parts: Buffer[] = [];
      let status = '';
      stream.on('data', (bytes: Buffer) => parts.push(bytes));
      stream.on('trailers', (trailers) => {
        status = `${String(trailers['grpc-status'])} ${String(trailers['grpc-message'] ?? '')}`;
      });
      stream.on('error', reject);
      stream.on('end', () => {
        if (status.startsWith('0') && hasSucceeded(Buffer.concat(parts))) resolve();
        else reject(new Error(`etcd refused a transaction: ${status}`));
      });
      stream.end(frame(encodeTransaction(transaction)));
    });
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#session.close(resolve));
  }
}

const HEADERS = {
  ':method': 'POST',
  ':path': '/etcdserverpb.KV/Txn',
  'content-type': 'application/grpc',
  te: 'trailers',
};

/** A message as gRPC sends it: not compressed, with its length. */
function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** `TxnRequest`: compare = 1, success = 2; `RequestOp`: request_put = 2; `PutRequest`: key = 1, value = 2 (https://etcd.io/docs/v3.4/learning/api/). */
function encodeTransaction({ compares, ops }: Transaction): Buffer {
  return Buffer.concat([
    ...compares.map((compare) => bytesField(1, encodeCompare(compare))),
    ...ops.map((op) => bytesField(2, bytesField(2, encodePut(op)))),
  ]);
}

const EXISTS = Buffer.concat([numberField(1, 1), numberField(2, 0)]);
const ABSENT = Buffer.concat([numberField(1, 0), numberField(2, 0)]);

/** `Compare`: result = 1 (0 equal, 1 greater), target = 2 (0 version), key = 3, version = 4 (here always 0, which is not sent). */
function encodeCompare(compare: Compare): Buffer {
  if (compare.kind === 'exists') return Buffer.concat([EXISTS, bytesField(3, Buffer.from(compare.key))]);
  if (compare.kind === 'absent' || (compare.kind === 'modRevision' && compare.revision === 0)) {
    return Buffer.concat([ABSENT, bytesField(3, Buffer.from(compare.key))]);
  }
  throw new Error(`a port's create has no compare of kind ${compare.kind}`);
}

function encodePut(op: Op): Buffer {
  if (op.kind !== 'put') throw new Error(`a port's create has no ${op.kind}`);
  return Buffer.concat([bytesField(1, Buffer.from(op.key)), bytesField(2, Buffer.from(op.value))]);
}

function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function numberField(field: number, value: number): Buffer {
  return Buffer.from([field << 3, ...varint(value)]);
}

function varint(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** `TxnResponse`: header = 1 (a message of less than 128 bytes), succeeded = 2. */
function hasSucceeded(framed: Buffer): boolean {
  const message = framed.subarray(5);
  const after = message[0] === 0x0a ? 2 + (message[1] ?? 0) : 0;
  return message[after] === 0x10 && message[after + 1] === 1;
}
