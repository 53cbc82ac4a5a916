import type { Logger } from '@cable/kit';
import { CableError, type ErrorCode, type NeutronErrorBody } from '@cable/model';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isHostRefusal } from '../hosts/refused-hosts.ts';
import { storeErrorCode, storeFull } from '../store-errors.ts';

/** The one place where errors become answers: `{"NeutronError": {"type", "message", "detail"}}`. */
export function answerError(
  thrown: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
): FastifyReply {
  const error = asCableError(thrown);
  logError(log, request, error, thrown);
  if (error.status === 503) reply.header('retry-after', '1');
  return reply.code(error.status).send(errorBody(error));
}

/** One line about a request that was answered with an error. `thrown`: what the error came from. */
export function logError(
  log: Logger,
  request: { readonly method?: string | undefined; readonly url?: string | undefined },
  error: CableError,
  thrown: unknown,
): void {
  const fields = { method: request.method, url: request.url, type: error.type, status: error.status };
  if (isFailure(error))
    log.error({ ...fields, err: storeErrorCode(error.cause) ? error.cause : thrown }, 'request failed');
  // An agent comes back every 30 s; that its host is refused is said once, with more.
  else if (isHostRefusal(error)) log.debug({ ...fields, reason: error.message }, 'request refused');
  else log.warn({ ...fields, reason: error.message }, 'request refused');
}

/** Not so: a request that a server refuses because it stops, or is behind. It says so on its own account, without a cause. */
function isFailure(error: CableError): boolean {
  return error.status >= 500 && (error.code !== 'ServiceUnavailable' || error.cause !== undefined);
}

/** Body of an error answer. `detail`: the error's own, else what to do. */
export function errorBody(error: CableError): NeutronErrorBody {
  return { NeutronError: { type: error.type, message: error.message, detail: error.detail || error.remedy } };
}

/** What is thrown, as an error of the table. */
export function asCableError(thrown: FastifyError | Error): CableError {
  if (thrown instanceof CableError) return thrown;
  const code = storeErrorCode(thrown);
  if (code === 'full') return storeFull(thrown);
  if (code !== undefined) {
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
};
