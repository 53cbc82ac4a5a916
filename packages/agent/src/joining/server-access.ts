/** How the agent asks its server: as the host, and for ports of pods as a user. */
import { type Client, createClient } from '@cable/api';
import { type ClientTls, type HttpTransport, httpTransport } from '@cable/kit';
import { followTlsFiles } from '@cable/pki';
import { CNI_CODE, CniError } from '../cni/errors.ts';
import { type IdentityDeps, type IdentityOptions, openIdentity } from './host-identity.ts';

export type AccessOptions = IdentityOptions & {
  /** Certificate of the user as whom ports of pods are made. */
  readonly cniFiles: { readonly cert: string; readonly key: string } | null;
};

/** What CNI asks by. */
export type PodClient = Pick<Client, 'list' | 'create' | 'delete'>;

export type ServerAccess = {
  /** As the host. */
  connect(timeoutMs: number): HttpTransport;
  /** For ports of pods. `asHost`: the client of the host, which serves where nobody shows certificates. */
  podClient(asHost: PodClient, timeoutMs: number): { readonly client: PodClient; close(): void };
  /** From now on this listener, and no other, is told when another certificate is shown. */
  onNew(listener: () => void): void;
  /** Ends with the signal. */
  readonly done: Promise<void>;
};

/** A host that is to join does so meanwhile: its requests end with `TransportError` until then. Throws `ExpectedError` for what no waiting can help. */
export async function openServerAccess(options: AccessOptions, deps: IdentityDeps): Promise<ServerAccess> {
  const { server, cniFiles } = options;
  const identity = await openIdentity(options, deps);
  if (identity === undefined) {
    return {
      connect: (timeoutMs) => httpTransport(server, { timeoutMs }),
      podClient: (client) => ({ client, close: () => undefined }),
      onNew: () => undefined,
      done: Promise.resolve(),
    };
  }
  const own =
    cniFiles === null
      ? undefined
      : await followTlsFiles({ own: cniFiles, ca: null }, () => undefined, { ...deps, beginsExpired: true });
  return {
    connect: (timeoutMs) => httpTransport(server, { timeoutMs, tls: identity.tls }),
    podClient: (_asHost, timeoutMs) => {
      if (own === undefined) return { client: NO_PODS, close: () => undefined };
      const tls = (): ClientTls => {
        const { ca } = identity.tls();
        const user = own.current.own;
        return { ...(ca === undefined ? {} : { ca }), ...(user === null ? {} : { own: user }) };
      };
      const transport = httpTransport(server, { timeoutMs, tls });
      return { client: createClient({ transport }), close: () => transport.close() };
    },
    onNew: identity.onNew,
    done: identity.done,
  };
}

/** A host's certificate lets it speak for itself, and make nothing in a project. */
const refuse = async (): Promise<never> => {
  throw new CniError(
    CNI_CODE.serverRefused,
    'the agent asks its server by https, where ports of pods are made by a user’s certificate',
    'start the agent with --cni-cert and --cni-key: cable pki issue user makes them',
  );
};

const NO_PODS: PodClient = { list: refuse, create: refuse, delete: refuse };
