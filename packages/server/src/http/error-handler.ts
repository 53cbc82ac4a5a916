import type { Logger } from '@cable/kit';
import { CableError, type ErrorCode, type NeutronErrorBody } from '@cable/model';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isOfPlugin, pluginFault } from '../contrail/exceptions.ts';
import { isMisuse, storeErrorCode, storeFull } from '../store-errors.ts';

/** What a client without a token that is good is answered by every service of OpenStack. */
type KeystoneErrorBody = {
  readonly error: { readonly code: number; readonly title: string; readonly message: string };
};

/** Told of every error that a client is answered. */
export type CountError = (error: CableError) => void;

/** The one place where errors become answers: `{"NeutronError": {"type", "message", "detail"}}`. */
export function answerError(
  thrown: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
  { log, countError }: { readonly log: Logger; readonly countError: CountError },
): FastifyReply {
  const error = asCableError(thrown);
  countError(error);
  logError(log, request, error, thrown);
  if (isOfPlugin(request.url)) {
    const { status, body } = pluginFault(error, request.url);
    return reply.code(status).headers(errorHeaders(error)).send(body);
  }
  if (isOfProtons(request)) {
    return reply
      .code(error.status)
      .headers(errorHeaders(error))
      .type('application/problem+json; charset=utf-8')
      .send(problemOf(error));
  }
  if (!isOctavia(request)) return reply.code(error.status).headers(errorHeaders(error)).send(errorBody(error));
  const body = { ...errorBody(error), ...octaviaFault(error) };
  return reply.code(octaviaStatus(error)).headers(errorHeaders(error)).send(body);
}

/** One line about a request that was answered with an error; what is refused is for who looks for it. `thrown`: what the error came from. */
export function logError(
  log: Logger,
  request: { readonly method?: string | undefined; readonly url?: string | undefined },
  error: CableError,
  thrown: unknown,
): void {
  const fields = { method: request.method, url: request.url, type: error.type, status: error.status };
  if (isFailure(error))
    log.error({ ...fields, err: storeErrorCode(error.cause) ? error.cause : thrown }, 'request failed');
  else log.debug({ ...fields, reason: error.message }, 'request refused');
}

/** Not so: a request that a server refuses because it stops, or is behind. It says so on its own account, without a cause. */
function isFailure(error: CableError): boolean {
  if (error.code === 'ProviderUnsupportedOptionError') return false;
  return error.status >= 500 && (error.code !== 'ServiceUnavailable' || error.cause !== undefined);
}

/** The error for a method that the path does not take. `allow`: what it takes. */
export function notAllowed(method: string | undefined, allow: readonly string[]): CableError {
  return new CableError('HTTPMethodNotAllowed', `The method ${method} is not allowed for this resource.`, {
    fields: { allow },
  });
}

/** Headers that an error answer has besides those of its body: RFC 9110, 10.2.1, 10.2.3 and 11.6.1. */
export function errorHeaders({
  status,
  fields: { allow, authenticate, retryAfterSeconds },
}: CableError): Readonly<Record<string, string>> {
  return {
    ...(status === 503 ? { 'retry-after': '1' } : {}),
    ...(status === 429 ? { 'retry-after': String(retryAfterSeconds ?? 1) } : {}),
    ...(status === 401 ? { 'www-authenticate': typeof authenticate === 'string' ? authenticate : 'Keystone' } : {}),
    ...(status === 405 ? { allow: Array.isArray(allow) ? allow.join(', ') : '' } : {}),
  };
}

/** Body of an error answer. `detail`: the error's own, else what to do. Who is sent to Keystone is so in the form that clients know from its middleware. */
export function errorBody(error: CableError): NeutronErrorBody | KeystoneErrorBody {
  if (typeof error.fields['authenticate'] === 'string')
    return { error: { code: error.status, title: 'Unauthorized', message: error.message } };
  return { NeutronError: { type: error.type, message: error.message, detail: error.detail || error.remedy } };
}

/** True of requests below the paths of protons, whether there is such a route or not. */
function isOfProtons({ url }: Pick<FastifyRequest, 'url'>): boolean {
  return /^\/proton(?:[/?]|$)/.test(url);
}

/** RFC 9457, with the members that Gluon's clients read: WSME's. */
function problemOf(error: CableError): Readonly<Record<string, unknown>> {
  const { status, type, message, detail, remedy } = error;
  return {
    ...{ type: 'about:blank', title: type, status, detail: message, remedy: detail || remedy },
    ...octaviaFault(error),
  };
}

/** True of requests below Octavia's paths, whether there is such a route or not. */
function isOctavia({ url }: Pick<FastifyRequest, 'url'>): boolean {
  return /^\/v2(\.0)?\/lbaas[/?]/.test(url);
}

/** Octavia's status where it is another than Neutron's. */
function octaviaStatus({ code, status }: CableError): number {
  return code === 'OverQuota' ? 403 : status;
}

/** The same as Octavia's clients read it: they show `faultstring` and nothing else. */
function octaviaFault({ status, message, detail, remedy }: CableError): Readonly<Record<string, string | null>> {
  const sentence = /[.!?]$/.test(message) ? message : `${message}.`;
  return {
    faultcode: status < 500 || status === 501 ? 'Client' : 'Server',
    faultstring: `${sentence} ${detail || remedy}`,
    debuginfo: null,
  };
}

/** What is thrown, as an error of the table. */
export function asCableError(thrown: FastifyError | Error): CableError {
  if (thrown instanceof CableError) return thrown;
  const code = storeErrorCode(thrown);
  if (code === 'full') return storeFull(thrown);
  if (code !== undefined && !isMisuse(code)) {
    return new CableError('ServiceUnavailable', 'The store does not answer.', { cause: thrown });
  }
  const status = 'statusCode' in thrown ? (thrown.statusCode ?? 500) : 500;
  if (status < 500) return new CableError(CODES[status] ?? 'HTTPBadRequest', thrown.message, { cause: thrown });
  return new CableError('InternalServerError', 'Request failed: internal server error while processing your request.', {
    cause: thrown,
  });
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  404: 'HTTPNotFound',
  405: 'HTTPMethodNotAllowed',
  413: 'HTTPRequestEntityTooLarge',
  415: 'HTTPUnsupportedMediaType',
};
