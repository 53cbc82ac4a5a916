import { ApiError } from '@cable/api';
import { type Logger, Repeats } from '@cable/kit';
import { ERRORS, type ErrorCode, type StoreHistory } from '@cable/model';
import { isRecord, parseJson } from '../json.ts';

/** Why the server, or the agent, refuses to go on until an operator does something. */
export type Refusal = { readonly code: string; readonly message: string; readonly remedy: string | null };

/** Errors that only an operator can end. */
const REFUSALS: ReadonlySet<string> = new Set<ErrorCode>([
  'CertificateRefused',
  'HostBeingRenamed',
  'HostNameInUse',
  'HostSuperseded',
  'OtherHistory',
  'UnderlayAddressInUse',
  'UnderlayIpVersionMismatch',
]);

/** Who refuses. */
const SERVER = 'server';

/** A refusal by what the server said, with the remedy if the code is known. */
export function makeRefusal(code: string, message: string): Refusal {
  return { code, message, remedy: isErrorCode(code) ? ERRORS[code].remedy : null };
}

/** The refusal that an error answer is, with the remedy of the answer, which knows more than the code's; undefined: it is another failure. */
export function refusalOf(err: unknown): Refusal | undefined {
  if (!(err instanceof ApiError) || !REFUSALS.has(err.type)) return undefined;
  const refusal = makeRefusal(err.type, err.message);
  return err.detail === '' ? refusal : { ...refusal, remedy: err.detail };
}

/** The error of an answer to the watch, from its body. */
export function errorOfAnswer(status: number, body: string): ApiError {
  const value = parseJson(body);
  const fault = isRecord(value) ? value['NeutronError'] : undefined;
  if (!isRecord(fault)) return new ApiError(status, '', `the server answered ${status}`, body.slice(0, 500));
  return new ApiError(status, String(fault['type']), String(fault['message']), String(fault['detail'] ?? ''));
}

/** Undefined: the store may be followed. A mark that does not fit is the server's to see. */
export function refuseHistory(followed: StoreHistory | null, offered: StoreHistory): Refusal | undefined {
  if (followed === null || followed.cluster === offered.cluster) return undefined;
  return makeRefusal(
    'OtherHistory',
    `The server is of cluster ${offered.cluster}; this host follows cluster ${followed.cluster}.`,
  );
}

/** Says each refusal once, and again every ten minutes while it lasts; null: it is over. */
export function createRefusalLog(log: Logger, now: () => number): { note(refusal: Refusal | null): void } {
  const repeats = new Repeats(now);
  return {
    note: (refusal) => {
      if (refusal === null) repeats.forget(SERVER);
      else if (repeats.isNews(SERVER, `${refusal.code} ${refusal.message}`))
        log.error({ ...refusal }, 'the server refuses this host: traffic goes on as it is, nothing new is taken');
    },
  };
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
