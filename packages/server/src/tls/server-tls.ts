/** What this server shows of itself, and whose certificates it believes: files that are read anew when they change. */
import { X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from '@cable/kit';
import {
  certificatesIn,
  followTlsFiles,
  isOfAuthorities,
  pkiPaths,
  serverCommand,
  type TlsFiles,
  type TlsMaterial,
} from '@cable/pki';

/** Where its certificate and authorities are. */
export type ServerTlsFiles = {
  readonly own: NonNullable<TlsFiles['own']>;
  /** Authorities whose certificates of clients are believed; null: none. */
  readonly ca: string | null;
  /** Authorities of hosts; null: those of `ca` are. */
  readonly hostsCa: string | null;
  /** The directory of `cable pki` that they are in: hosts are told the authorities of `ca`, so these must cover the own certificate. Absent: they may be of others. */
  readonly directory?: string;
};

/** What TLS is made of now, and who is told of what is new. */
export type ServerTls = {
  readonly current: SecureContextOptions;
  readonly hostAuthorities: readonly X509Certificate[];
  /** Authorities of clients that are no hosts. */
  readonly userAuthorities: readonly X509Certificate[];
  onChange(listener: (current: SecureContextOptions) => void): () => void;
};

/** Those in a directory of `cable pki`. */
export function filesInDirectory(directory: string): ServerTlsFiles {
  const { cert, key, authority, hosts } = pkiPaths(directory);
  return { own: { cert, key }, ca: authority.certificates, hostsCa: hosts.certificates, directory };
}

/** Reads the files, and follows them until the signal aborts. Throws `ExpectedError` that names the file and what to do. */
export async function openServerTls(
  files: ServerTlsFiles,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<ServerTls> {
  const listeners = new Set<(current: SecureContextOptions) => void>();
  const changed = (): void => {
    made = undefined;
    for (const listener of listeners) listener(tls.current);
  };
  const { directory } = files;
  const refuse = directory === undefined ? {} : { refuse: (read: TlsMaterial) => refuseUncovered(directory, read) };
  const own = await followTlsFiles({ own: files.own, ca: files.ca }, changed, { ...deps, ...refuse });
  const hosts = files.hostsCa === null ? own : await followTlsFiles({ own: null, ca: files.hostsCa }, changed, deps);
  let made: Omit<ServerTls, 'onChange'> | undefined;
  const parts = (): Omit<ServerTls, 'onChange'> => (made ??= partsOf(own.current, hosts.current));
  const tls: ServerTls = {
    get current() {
      return parts().current;
    },
    get hostAuthorities() {
      return parts().hostAuthorities;
    },
    get userAuthorities() {
      return parts().userAuthorities;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return tls;
}

/** Hosts that are told authorities which do not cover this server's certificate would not come back. */
function refuseUncovered(directory: string, { own, ca }: TlsMaterial): string | undefined {
  const chain = certificatesIn(own?.cert ?? '');
  if (isOfAuthorities(chain, ca ?? [])) return undefined;
  const { cert, authority } = pkiPaths(directory);
  return `${cert} is of no authority in ${authority.certificates}, so hosts that are told these would not trust this server: issue its certificate anew where authority.key is, and bring it here: ${serverCommand(directory, chain)}`;
}

function partsOf({ own, ca }: TlsMaterial, hosts: TlsMaterial): Omit<ServerTls, 'onChange'> {
  const [users, ofHosts] = [ca ?? [], hosts.ca ?? []];
  return {
    // Without a list Node would take everybody whom browsers trust.
    current: { cert: own?.cert, key: own?.key, ca: [...new Set([...users, ...ofHosts])] },
    hostAuthorities: ofHosts.map((one) => new X509Certificate(one)),
    userAuthorities: users.map((one) => new X509Certificate(one)),
  };
}
