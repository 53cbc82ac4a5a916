/** Everything that looks at certificates of clients, over the time in which the server is not there yet. */
import type { Duplex } from 'node:stream';
import type { Logger } from '@cable/kit';
import { CableError } from '@cable/model';
import type { Authenticator } from '../http/auth.ts';
import { ControllerCallers } from '../identity/controllers.ts';
import { refuseRevoked } from '../pki/host-certificates.ts';
import { StreamCertificates } from '../pki/stream-certificates.ts';
import type { Tables } from '../tables.ts';
import { certificates } from './certificates.ts';
import type { ServerTls } from './server-tls.ts';

export type TlsDoorOptions = {
  readonly tls: ServerTls;
  /** True: certificates of hosts are made by servers of ours. */
  readonly isOurs: boolean;
  /** Asked when a token is given, and when no certificate is shown; absent: nobody else is let in. */
  readonly next?: Authenticator;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

export type TlsDoor = {
  readonly authenticate: Authenticator;
  /** From now on it is known who is revoked; until then every host is told to come again. */
  know(tables: Pick<Tables, 'of' | 'onChange'>): void;
  /** A host's stream that is open ends when its certificate does not count any more. */
  follow(host: string, socket: Duplex): void;
  /** Looks for those whose certificate has expired now, and not some seconds later. */
  look(): void;
};

export function createTlsDoor({ tls, isOurs, next, log, signal, now }: TlsDoorOptions): TlsDoor {
  const controllers = new ControllerCallers();
  let known: { readonly tables: Pick<Tables, 'of'>; readonly streams: StreamCertificates } | undefined;
  return {
    authenticate: certificates({
      ...{ tls, isOurs, now },
      ...(next === undefined ? {} : { next }),
      refuseRevoked: (shown) => {
        if (known === undefined) throw new CableError('ServiceUnavailable', 'The server is not ready yet.');
        refuseRevoked(known.tables, shown);
      },
      controller: (cluster, headers) => {
        if (known === undefined) throw new CableError('ServiceUnavailable', 'The server is not ready yet.');
        return controllers.byCertificate(known.tables, cluster, headers);
      },
      onHost: (shown) => known?.streams.seen(shown),
    }),
    know: (tables) => {
      known = { tables, streams: new StreamCertificates({ tables, log, signal, now }) };
    },
    follow: (host, socket) => known?.streams.follow(host, socket),
    look: () => known?.streams.lookAtAll(),
  };
}
