/** What a server knows its callers by: made of its options, once. */
import { type Access, KeystoneSession, readAccess } from '@cable/keystone';
import type { Logger } from '@cable/kit';
import type { Authenticator } from '../http/auth.ts';
import type { ProxyTrust } from '../limits/client-address.ts';
import { keystoneAuthenticator } from './keystone-authenticator.ts';
import { RevocationWatch } from './revocation-watch.ts';
import { TokenBook } from './token-book.ts';

/** What the operator says about Keystone. */
export type KeystoneSettings = {
  /** File in the form of clouds.yaml. */
  readonly file: string;
  /** The cloud in it; undefined: the only one. */
  readonly cloud?: string;
  /** Where clients are told to log in; undefined: the address in the file. */
  readonly publicUrl?: string;
  readonly serviceRoles: readonly string[];
  readonly freshSeconds: number;
};

export type Identity = {
  readonly session: KeystoneSession;
  readonly book: TokenBook;
  readonly authenticate: Authenticator;
  /** Ends what runs. */
  close(): Promise<void>;
};

type KeystoneDeps = {
  readonly log: Logger;
  readonly monotonicMs: () => number;
  /** Who is believed for whom he asks. */
  readonly proxies: ProxyTrust;
};

/** Begins to ask a Keystone. Throws `AccessError` when the file cannot be used; whether Keystone is there is not looked at. */
export function openKeystone(settings: KeystoneSettings, { log, monotonicMs, proxies }: KeystoneDeps): Identity {
  const access: Access = readAccess(settings.file, settings.cloud ?? null, { isSecret: true });
  const session = new KeystoneSession({ access, monotonicMs });
  const book = new TokenBook({ keystone: session, freshMs: settings.freshSeconds * 1000, monotonicMs, log });
  const uri = settings.publicUrl ?? session.publicUrl;
  const authenticate = keystoneAuthenticator({ book, uri, serviceRoles: settings.serviceRoles, proxies });
  const ending = new AbortController();
  const watch = new RevocationWatch({ keystone: session, book, log, signal: ending.signal });
  const close = async (): Promise<void> => {
    ending.abort();
    await watch.done;
    session.close();
  };
  return { session, book, authenticate, close };
}
