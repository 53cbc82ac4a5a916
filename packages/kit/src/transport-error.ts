/** Why no answer came of a server, and what to do about it. */
import { ExpectedError } from './expected.ts';

/** No answer came. `retryable`: a later try may get one (false: the call was aborted or the address is wrong). */
export class TransportError extends ExpectedError {
  /** The system's code such as ECONNREFUSED, or `timeout`, `aborted`, `broken`. */
  readonly code: string;
  readonly retryable: boolean;
  /** True: nothing that answers there, or nobody, was reached. False: what answered is not what was looked for, or nothing was asked. */
  readonly isUnreachable: boolean;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TransportError';
    this.code = code;
    this.isUnreachable = isOfWay(code);
    this.retryable = code !== 'aborted' && code !== 'invalid-address';
  }
}

const OF_NOBODY =
  'its certificate is of an authority that is not trusted here: give that of the cloud’s (authority.pem), or the address of the right server; if another authority has taken its place (cable pki rotate), issue the server’s certificate anew there (cable pki issue server NAME --address ADDRESS --replace), and let a host that has not heard of it join anew (cable join-token create --host NAME --replace true)';

/** Codes of `TransportError`s: the server's certificate is of no authority that is trusted. */
export const UNTRUSTED: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
]);

const REASONS: Readonly<Record<string, string>> = {
  ...Object.fromEntries([...UNTRUSTED].map((code) => [code, OF_NOBODY])),
  INVALID_PURPOSE: 'what it shows is no certificate of a server: somebody else may answer there',
  CERT_HAS_EXPIRED: 'its certificate has expired: issue another there (cable pki issue server)',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: compare the clocks of both machines',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'its certificate is of other names and addresses: use one of them, or issue another with this one (cable pki issue server)',
  EPROTO: 'what answers does not speak TLS as it is spoken here: is it https, and the right port',
  ECONNREFUSED: 'nothing listens there: start the server, or give the address of one that runs',
  ENOENT: 'there is no such socket: start the process that makes it, or correct the path',
  EACCES: 'this user may not open the socket: run as the user that owns it',
  ENOTFOUND: 'the host name is unknown: correct the address',
  ECONNRESET: 'it closed the connection without an answer: try again, and see its log',
  EHOSTUNREACH: 'there is no route to the host: check the address and the network',
  ENETUNREACH: 'there is no route to the network: check the address and the network',
  EINVAL: 'its route leads nowhere (type blackhole), or the address needs a link: check the address and the routes',
  EPERM: 'a firewall of this machine forbids it: check its rules',
  EADDRNOTAVAIL: 'this machine has no address or no port left to ask from: check its addresses and connections',
  EMFILE: 'this process has too many files open: raise its limit',
};

/** Of an address that is no socket's: a route of type prohibit, or a rule. */
const FORBIDDEN = 'a route or a rule of this machine forbids it: check its routes and its firewall';

/** What the system says of a way: all of its names of errors but that of a protocol, names of hosts that are not found, waits. Whatever TLS says is of who has answered. */
const OF_WAY = /^(?:E[A-Z0-9]+|EAI_[A-Z]+|ERR_SOCKET_[A-Z_]+|UNKNOWN|Unknown system error .*|timeout|broken)$/;

function isOfWay(code: string): boolean {
  return code !== 'EPROTO' && OF_WAY.test(code);
}

/** What became of a connection to a server, as the transport says it: with what to do. */
export function explainNoAnswer(server: string, err: unknown): TransportError {
  const code = codeOf(err);
  const isForbidden = code === 'EACCES' && !server.startsWith('unix:');
  const reason = isForbidden ? FORBIDDEN : (REASONS[code] ?? (err instanceof Error ? err.message : String(err)));
  return new TransportError(code, `cannot reach ${server}: ${reason}`, code.startsWith('ERR_TLS') ? undefined : err);
}

/** The code of an error, or `broken`. */
export function codeOf(err: unknown): string {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : 'broken';
}
