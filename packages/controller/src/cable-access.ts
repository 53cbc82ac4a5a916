/** How the server is asked: as the controller of one cluster, in one of its projects at a time. */
import { ApiError, type Client, createClient } from '@cable/api';
import { type HttpTransport, httpTransport } from '@cable/kit';
import { namespaceProject } from '@cable/model';
import type { TlsMaterial } from '@cable/pki';

export type CableAccess = {
  /** As the project, with the epoch that `lead` said. */
  as(projectId: string): Client;
  /** As the cluster's own project. */
  readonly own: Client;
  /** Without an epoch: for the claim. */
  readonly claiming: Client;
  /** As an administrator, where nobody is asked who he is; undefined: certificates say it. */
  readonly admin: Client | undefined;
  /** Says with which epoch writes are made from now on. */
  lead(epoch: number): void;
  close(): void;
};

export type CableAccessOptions = {
  readonly server: string;
  readonly cluster: string;
  /** Undefined: the server asks for no certificate. */
  readonly tls: (() => TlsMaterial) | undefined;
};

export function openCableAccess({ server, cluster, tls }: CableAccessOptions): CableAccess {
  const transport = httpTransport(server, tls === undefined ? {} : { tls: () => clientTlsOf(tls()) });
  const clients = new Map<string, Client>();
  const own = namespaceProject(cluster, '');
  let epoch: number | undefined;
  const as = (projectId: string): Client => {
    const known = clients.get(projectId);
    if (known !== undefined) return known;
    const made = clientOf(transport, { cluster, projectId, epoch });
    clients.set(projectId, made);
    return made;
  };
  return {
    as,
    get own() {
      return as(own);
    },
    claiming: clientOf(transport, { cluster, projectId: own, epoch: undefined }),
    admin: tls === undefined ? createClient({ transport }) : undefined,
    lead: (next) => {
      epoch = next;
      clients.clear();
    },
    close: () => transport.close(),
  };
}

function clientOf(
  transport: HttpTransport,
  {
    cluster,
    projectId,
    epoch,
  }: { readonly cluster: string; readonly projectId: string; readonly epoch: number | undefined },
): Client {
  const headers = { 'cable-cluster': cluster, ...(epoch === undefined ? {} : { 'cable-epoch': String(epoch) }) };
  return createClient({ transport, projectId, headers });
}

const known = new WeakMap<TlsMaterial, ReturnType<NonNullable<Parameters<typeof httpTransport>[1]>['tls'] & object>>();

/** The same value for the same files: connections are kept by it. */
function clientTlsOf(material: TlsMaterial) {
  const before = known.get(material);
  if (before !== undefined) return before;
  const { ca, own } = material;
  const made = {
    ...(ca === null ? {} : { ca }),
    ...(own === null ? {} : { own: { cert: own.cert, key: own.key } }),
  };
  known.set(material, made);
  return made;
}

/** Another controller writes for the cluster. */
export function isSuperseded(err: unknown): boolean {
  return err instanceof ApiError && err.type === 'ControllerSuperseded';
}

/** The object is not there. */
export function isGone(err: unknown): boolean {
  return err instanceof ApiError && err.status === 404;
}

/** The port's node has not unplugged it yet. */
export function isStillPlugged(err: unknown): boolean {
  return err instanceof ApiError && err.type === 'PortStillPlugged';
}

/** Another port has the address. */
export function isAddressTaken(err: unknown): boolean {
  return err instanceof ApiError && err.type === 'IpAddressAlreadyAllocated';
}

/** A refusal that another try does not change: the request is wrong, or what it needs is not there. */
export function isRefusal(err: unknown): err is ApiError {
  return err instanceof ApiError && err.status >= 400 && err.status < 500 && err.status !== 429 && !isSuperseded(err);
}
