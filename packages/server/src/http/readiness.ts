/** Whether a server can do what it is there for. */

import { CableError } from '@cable/model';
import type { FastifyReply } from 'fastify';
import { errorBody } from './error-handler.ts';

/** One thing that must be so. `reason`: what is wrong, for people; one sentence without its full stop. */
export type ReadinessCheck = {
  readonly name: string;
  readonly isReady: () => { readonly ok: true } | { readonly ok: false; readonly reason: string };
};

/** A check. `wrong`: the reason, or undefined when all is well. */
export function check(name: string, wrong: () => string | undefined): ReadinessCheck {
  return {
    name,
    isReady: () => {
      const reason = wrong();
      return reason === undefined ? { ok: true } : { ok: false, reason };
    },
  };
}

/** What of it is not so now. */
export type Unready = { readonly name: string; readonly reason: string };

/** The checks that fail now; none: ready. */
export function unreadyOf(checks: readonly ReadinessCheck[]): readonly Unready[] {
  return checks.flatMap(({ name, isReady }) => {
    const found = isReady();
    return found.ok ? [] : [{ name, reason: found.reason }];
  });
}

/** `GET /readyz`: 200, or 503 with what is not so. */
export function answerReadiness(reply: FastifyReply, checks: readonly ReadinessCheck[]): FastifyReply {
  const unready = unreadyOf(checks);
  if (unready.length === 0) return reply.code(200).send({ ready: true, unready });
  const reasons = unready.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  const error = new CableError('ServiceUnavailable', `The server is not ready: ${reasons}.`, {
    detail: 'docs/guide/operating.md, Server, says what each check means.',
  });
  return reply
    .code(503)
    .header('retry-after', '1')
    .send({ ready: false, unready, ...errorBody(error) });
}
