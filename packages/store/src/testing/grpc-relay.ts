import { type Client, Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { createEndpointClient } from '../etcd/rpc.ts';

/** Stands between a store and its etcd and passes calls on; its watches can fall silent while everything else goes on. */
export type GrpcRelay = {
  /** `127.0.0.1:port`. */
  readonly endpoint: string;
  /** Watches that are open say nothing any more. */
  muteWatches(): void;
  /** How many watches have been opened. */
  watches(): number;
  remove(): void;
};

const asIs = (bytes: Buffer): Buffer => bytes;

type Bytes = ServerDuplexStream<Buffer, Buffer>;

/** Starts a relay to the etcd at `host:port` on a free port of loopback. */
export async function startGrpcRelay(target: string): Promise<GrpcRelay> {
  const upstream = createEndpointClient(target);
  const server = new Server();
  let watches = 0;
  let mutes = 0;
  const always = (): (() => boolean) => () => false;
  const watch = (): (() => boolean) => {
    watches += 1;
    const muted = mutes;
    return () => mutes > muted;
  };
  for (const [service, name, onOpen] of [
    ['KV', 'Range', always],
    ['KV', 'Txn', always],
    ['Lease', 'LeaseGrant', always],
    ['Lease', 'LeaseRevoke', always],
    ['Watch', 'Watch', watch],
  ] as const) {
    const path = `/etcdserverpb.${service}/${name}`;
    server.register(path, (call: Bytes) => pipe(call, upstream, path, onOpen()), asIs, asIs, 'bidi');
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (err, bound) => {
      if (err === null) resolve(bound);
      else reject(err);
    });
  });
  return {
    endpoint: `127.0.0.1:${port}`,
    muteWatches: () => {
      mutes += 1;
    },
    watches: () => watches,
    remove: () => {
      server.forceShutdown();
      upstream.close();
    },
  };
}

function pipe(call: Bytes, upstream: Client, path: string, isMuted: () => boolean): void {
  const onward = upstream.makeBidiStreamRequest(path, asIs, asIs, new Metadata(), {});
  call.on('data', (bytes: Buffer) => onward.write(bytes));
  call.on('end', () => onward.end());
  call.on('cancelled', () => onward.cancel());
  onward.on('data', (bytes: Buffer) => {
    if (!isMuted()) call.write(bytes);
  });
  onward.on('error', (err) => call.emit('error', err));
  onward.on('end', () => call.end());
}
