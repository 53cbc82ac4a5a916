import { ApiError } from '@cable/api';
import { KeystoneError } from '@cable/keystone';
import { ExpectedError, TransportError, UNTRUSTED } from '@cable/kit';
import { ERRORS, type ErrorCode } from '@cable/model';
import { CommanderError } from 'commander';
import { harmlessLines } from './render.ts';

/** The command was wrong (exit status 2) or was refused (1). `remedy`: what to do, empty: nothing to add. */
export class CliError extends Error {
  readonly exitStatus: 1 | 2;
  readonly remedy: string;

  constructor(exitStatus: 1 | 2, message: string, remedy = '') {
    super(message);
    this.name = 'CliError';
    this.exitStatus = exitStatus;
    this.remedy = remedy;
  }
}

/** What to print on standard error, and the exit status: 0 after help, 1 refused or failed, 2 wrong usage. */
export type Failure = { readonly text: string; readonly exitStatus: number };

/** Explains what ended a command. Rethrows what is a bug. */
export function explainFailure(err: unknown): Failure {
  // Commander has printed its message already.
  if (err instanceof CommanderError) return { text: '', exitStatus: err.exitCode === 0 ? 0 : 2 };
  if (err instanceof CliError) return { text: format(err.message, err.remedy), exitStatus: err.exitStatus };
  if (err instanceof ApiError) {
    const type = err.type === '' ? `HTTP ${err.status}` : err.type;
    return { text: format(`${err.message} (${type})`, remedyFor(err)), exitStatus: 1 };
  }
  if (err instanceof KeystoneError) return { text: format(err.message, LOG_IN), exitStatus: 1 };
  if (err instanceof ExpectedError && !(err instanceof TransportError))
    return { text: format(err.message, ''), exitStatus: 1 };
  if (err instanceof TransportError) {
    const remedy = UNTRUSTED.has(err.code) ? TRUST : 'The server is chosen with --server or CABLE_SERVER.';
    return { text: format(err.message, remedy), exitStatus: 1 };
  }
  throw err;
}

const LOG_IN = 'Who logs in is said by OS_* variables, or by a cloud of clouds.yaml (--os-cloud, OS_CLOUD).';

const TRUST = 'Authorities that are trusted are named with --ca or CABLE_CA: authority.pem of cable pki init.';

const SHOW = 'It is shown with --cert and --key, or CABLE_CERT and CABLE_KEY.';

function remedyFor({ status, type, detail }: ApiError): string {
  if (type === 'CertificateRefused') return `${detail || remedyOf(type)} ${SHOW}`;
  return status === 401 ? LOG_IN : detail || remedyOf(type);
}

/** What a server says has been said to it by others: nothing of it drives the terminal. */
function format(message: string, remedy: string): string {
  return `error: ${harmlessLines(message)}\n${remedy === '' ? '' : `  ${harmlessLines(remedy)}\n`}`;
}

/** The remedy of an error type; `NetworkInUse` has that of `InUse`. */
function remedyOf(type: string): string {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  const code = codes.find((one) => one === type) ?? (['NotFound', 'InUse'] as const).find((one) => type.endsWith(one));
  return code === undefined ? '' : ERRORS[code].remedy;
}
