/** What the agent shows of itself at a server, and which servers it trusts: given by an operator, or got by joining and renewed since. */
import { type ClientTls, ExpectedError, type Logger } from '@cable/kit';
import { followTlsFiles, type JoinTokenText, type TlsFiles, type TlsMaterial } from '@cable/pki';
import { HostFiles } from './host-files.ts';
import { readJoinToken, type TokenSource } from './join-token.ts';
import { startJoined } from './joined-identity.ts';
import type { AdmissionOptions } from './node-admission.ts';

export type IdentityOptions = {
  readonly server: string;
  readonly host: string;
  readonly stateDir: string;
  readonly join: TokenSource | null;
  /** Who is asked for a token, as a pod of Kubernetes; null, the default: nobody. A token that is in the file of `join` is taken first. */
  readonly admission?: AdmissionOptions | null;
  /** Files of an operator's; null: the host joins. */
  readonly tlsFiles: TlsFiles | null;
};

export type IdentityDeps = {
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly now?: () => Date;
  /** 0..1 */
  readonly random?: () => number;
};

export type HostIdentity = {
  /** For transports. Throws `TransportError` while the host has not joined. */
  readonly tls: () => ClientTls;
  /** From now on this listener, and no other, is told when another certificate is shown. */
  onNew(listener: () => void): void;
  /** Joining and renewing ends with the signal. */
  readonly done: Promise<void>;
};

/**
 * The identity over https; undefined: the address is another's, where nobody shows anything. Nothing is waited for: a host that is to join does so meanwhile, and what it has serves
 * its guests. Throws `ExpectedError` for what no waiting can help.
 */
export async function openIdentity(options: IdentityOptions, deps: IdentityDeps): Promise<HostIdentity | undefined> {
  const { server, join, tlsFiles, admission = null } = options;
  if (!server.startsWith('https:')) {
    if (join === null && tlsFiles === null && admission === null) return undefined;
    throw new ExpectedError(`with certificates and join tokens the server is asked by https, not by ${server}`);
  }
  return tlsFiles === null ? await openJoined(options, deps) : await openGiven(tlsFiles, deps);
}

async function openGiven(files: TlsFiles, { log, signal, now }: IdentityDeps): Promise<HostIdentity> {
  let listener = (): void => undefined;
  let current: ClientTls = {};
  const take = ({ own, ca }: TlsMaterial): void => {
    current = { ...(ca === null ? {} : { ca }), ...(own === null ? {} : { own: { cert: own.cert, key: own.key } }) };
    listener();
  };
  const deps = { log, signal, ...(now === undefined ? {} : { now }), beginsExpired: true };
  take((await followTlsFiles(files, take, deps)).current);
  return {
    tls: () => current,
    onNew: (next) => {
      listener = next;
    },
    done: Promise.resolve(),
  };
}

async function openJoined(options: IdentityOptions, deps: IdentityDeps): Promise<HostIdentity> {
  const { host, stateDir, join, admission = null } = options;
  const files = new HostFiles(stateDir, host);
  const kept = await files.read();
  if (admission !== null) return startJoined({ files, kept, token: undefined }, options, deps);
  const token = join === null ? undefined : readUnless(join, kept !== undefined, deps.log);
  if (kept !== undefined || token !== undefined) return startJoined({ files, kept, token }, options, deps);
  throw new ExpectedError(
    join === null
      ? `this host has not joined yet (nothing in ${stateDir}): make a token with cable join-token create, and give it with --join-file`
      : 'the file with the join token is not there, and this host has not joined yet: make a token with cable join-token create',
  );
}

/** What is no token any more must not stop a host that has joined. */
function readUnless(source: TokenSource, hasJoined: boolean, log: Logger): JoinTokenText | undefined {
  try {
    return readJoinToken(source);
  } catch (err) {
    if (!hasJoined) throw err;
    log.error({ err }, 'not joined anew: the certificate of before is shown');
    return undefined;
  }
}
