/** Who asks, by the certificate that a client shows (docs/design/joining.md, Certificates). */
import type { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { TLSSocket } from 'node:tls';
import { CableError } from '@cable/model';
import { type Identity, identityOf, nameOfIdentity } from '@cable/pki';
import type { AuthenticatedCaller, Authenticator, UserCaller } from '../http/auth.ts';
import { refuseUnsaid } from '../http/body.ts';
import type { AskedRequest } from '../http/local-request.ts';
import { madeAt, type ShownCertificate } from '../pki/host-certificates.ts';
import type { ServerTls } from './server-tls.ts';

export type CertificateOptions = {
  readonly tls: Pick<ServerTls, 'hostAuthorities' | 'userAuthorities'>;
  /** True: certificates of hosts are made by servers of ours, and not given by somebody else. */
  readonly isOurs: boolean;
  /** Throws `CertificateRefused` for a host's that does not count any more. */
  readonly refuseRevoked: (shown: ShownCertificate) => void;
  /** The caller that a cluster's controller is with such headers. Throws `HTTPForbidden` for a project that is not the cluster's. */
  readonly controller: (cluster: string, headers: IncomingHttpHeaders) => UserCaller;
  /** Told of every request of a host. */
  readonly onHost?: (shown: HostCertificateShown) => void;
  /** Asked when a token is given, and when no certificate is shown; absent: nobody else is let in. */
  readonly next?: Authenticator;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** What a host has shown on a connection. `expiresAt`: in ms since 1970. */
export type HostCertificateShown = ShownCertificate & { readonly expiresAt: number };

/** `POST` of a host that has no certificate yet; its token says whether it may. */
export const JOIN_PATH = '/cable/v1/join';

/** A connection's client. */
type Known =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'refused'; readonly why: string; readonly detail: string }
  | { readonly kind: 'host'; readonly shown: HostCertificateShown; readonly caller: AuthenticatedCaller }
  | { readonly kind: 'cluster'; readonly name: string; readonly expiresAt: number; readonly cluster: string }
  | { readonly kind: 'user'; readonly name: string; readonly expiresAt: number; readonly caller: UserCaller };

const NOBODY: Known = { kind: 'nobody' };

/** Who may ask for a certificate and nothing else: the rules let it do nothing. */
const JOINER: UserCaller = userCaller(null, null, []);

const known = new WeakMap<TLSSocket, Known>();

/** The certificate by which a host has come on the connection, when it has asked something; undefined: none. */
export function hostCertificateOf(socket: object): HostCertificateShown | undefined {
  const one = socket instanceof TLSSocket ? known.get(socket) : undefined;
  return one?.kind === 'host' ? one.shown : undefined;
}

/** Whose certificate was shown on the connection and counts, such as `cable:user:alice`; undefined: none. Known when something was asked. */
export function nameShown(socket: object): string | undefined {
  const one = socket instanceof TLSSocket ? known.get(socket) : undefined;
  if (one?.kind === 'user' || one?.kind === 'cluster') return one.name;
  return one?.kind === 'host' ? `cable:host:${one.shown.host}` : undefined;
}

/** For connections of HTTPS. A host is known by its certificate alone; of users a token goes before it. */
export function certificates(options: CertificateOptions): Authenticator {
  return async (request) => {
    const { socket, headers } = request;
    if (!(socket instanceof TLSSocket)) throw new CableError('HTTPUnauthorized', 'Nobody is let in here.');
    const client = known.get(socket) ?? look(options, socket);
    known.set(socket, client);
    if (client.kind === 'host') {
      refuseExpired(`cable:host:${client.shown.host}`, client.shown.expiresAt, options.now());
      options.refuseRevoked(client.shown);
      options.onHost?.(client.shown);
      return client.caller;
    }
    const { next } = options;
    const hasToken = headers['x-auth-token'] !== undefined || headers['x-storage-token'] !== undefined;
    if (next !== undefined && hasToken) return await next(request);
    if (isJoin(request)) return JOINER;
    if (client.kind === 'cluster') {
      refuseExpired(client.name, client.expiresAt, options.now());
      refuseBrowsers(request);
      return options.controller(client.cluster, headers);
    }
    if (client.kind === 'user') {
      refuseExpired(client.name, client.expiresAt, options.now());
      refuseBrowsers(request);
      return client.caller;
    }
    if (client.kind === 'refused') throw new CableError('CertificateRefused', client.why, { detail: client.detail });
    if (next !== undefined) return await next(request);
    throw new CableError('CertificateRefused', 'A certificate of a client is needed here, and none was shown.');
  };
}

function look({ tls, isOurs }: CertificateOptions, socket: TLSSocket): Known {
  // A session that is taken up again without a certificate counts as authorized for Node.
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return NOBODY;
  if (!socket.authorized) return refused(String(socket.authorizationError));
  const identity = identityOf(certificate.subjectAltName);
  if (identity === undefined) {
    return {
      kind: 'refused',
      why: 'The certificate names nobody of this cloud.',
      detail:
        'One of its alternative names is to be a URI cable:host:NAME, cable:cluster:NAME or cable:user:NAME: see cable pki issue.',
    };
  }
  const believed = identity.kind === 'host' ? tls.hostAuthorities : tls.userAuthorities;
  if (!believed.some((one) => certificate.checkIssued(one))) {
    return {
      kind: 'refused',
      why: `The certificate of ${nameOfIdentity(identity)} is of an authority that is not believed of it.`,
      detail:
        'Hosts have theirs of the hosts’ authority, by a join token; users of the other, by cable pki issue user.',
    };
  }
  return client(identity, certificate, isOurs);
}

function client(identity: Identity, certificate: X509Certificate, isOurs: boolean): Known {
  const { validFrom, validTo } = certificate;
  const expiresAt = new Date(validTo).getTime();
  switch (identity.kind) {
    case 'host': {
      const shown = { host: identity.name, madeAt: madeAt(new Date(validFrom), isOurs), expiresAt };
      return { kind: 'host', shown, caller: { kind: 'host', host: identity.name } };
    }
    case 'user': {
      const caller = userCaller(identity.name, identity.projectId, identity.roles);
      return { kind: 'user', name: nameOfIdentity(identity), expiresAt, caller };
    }
    case 'cluster':
      return { kind: 'cluster', name: nameOfIdentity(identity), expiresAt, cluster: identity.name };
    case 'server':
      return { kind: 'refused', why: 'The certificate is that of a server.', detail: 'Servers ask nothing here.' };
  }
}

function userCaller(userId: string | null, projectId: string | null, roles: readonly string[]): UserCaller {
  const nowhere = { domainId: null, userDomainId: null, projectDomainId: null, systemScope: null };
  const credentials = { userId, projectId, roles, ...nowhere };
  return { kind: 'user', credentials, projectGiven: projectId !== null, byCertificate: true };
}

const WHY: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet: compare the clocks of both machines',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is signed by itself',
  INVALID_PURPOSE: 'is none of a client',
};

function refused(code: string): Known {
  return {
    kind: 'refused',
    why: `The certificate that was shown ${WHY[code] ?? `is of no authority that is trusted here (${code})`}.`,
    detail: ANOTHER,
  };
}

const ANOTHER =
  'A host joins anew: cable join-token create --host NAME --replace true, then cable agent --join TOKEN. A user gets another: cable pki issue user.';

function refuseExpired(name: string, expiresAt: number, now: number): void {
  if (now < expiresAt) return;
  const time = new Date(expiresAt).toISOString();
  throw new CableError('CertificateRefused', `The certificate of ${name} has expired at ${time}.`, {
    detail: ANOTHER,
  });
}

/** A browser shows a user's certificate to whatever page makes it ask. */
function refuseBrowsers({ headers }: AskedRequest): void {
  refuseUnsaid(headers);
  const site = headers['sec-fetch-site'];
  if (headers.origin === undefined && (site === undefined || site === 'none' || site === 'same-origin')) return;
  throw new CableError('HTTPForbidden', 'With a certificate nothing is taken from pages of other sites.', {
    detail: 'Send no foreign Origin.',
  });
}

function isJoin({ method, url }: AskedRequest): boolean {
  return method === 'POST' && url === JOIN_PATH;
}
