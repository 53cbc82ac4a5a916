import { CableError } from '@cable/model';
import { doorOf } from '../doors.ts';
import { type Permission, permitApi } from '../engine/permission.ts';
import { asUser } from '../http/asked.ts';
import type { AuthenticatedCaller } from '../http/auth.ts';

/**
 * Whether the caller speaks for the host that the path names; `host` undefined: the path names none. Over HTTPS that is the host itself, by its certificate, and nobody else; elsewhere
 * whom the rule `admin_api` lets in. Throws `HTTPForbidden` and `PolicyNotAuthorized`.
 */
export function permitAgent(
  deps: { readonly permission: Permission },
  caller: AuthenticatedCaller,
  { host, socket }: { readonly host: string | undefined; readonly socket: object },
): void {
  if (host === undefined || (caller.kind === 'user' && doorOf(socket) !== 'tls')) {
    permitApi(deps, asUser(caller).credentials);
    return;
  }
  if (caller.kind !== 'host') {
    throw new CableError('HTTPForbidden', 'For a host speaks its agent, by the certificate of that host.', {
      detail: 'Start the agent with a certificate of the host: by --join, or by --tls-cert and --tls-key.',
    });
  }
  if (caller.host !== host) {
    throw new CableError('HTTPForbidden', `The host ${caller.host} may ask for what is its own alone.`, {
      detail: 'Give the agent the certificate of the host that it names.',
    });
  }
}
