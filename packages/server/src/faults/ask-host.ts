import type { HostAsk } from '@cable/model';
import { unreachable } from '../hosts/host-asks.ts';
import type { Streams } from '../hosts/streams.ts';
import type { Tables } from '../tables.ts';
import type { AskRelay } from './ask-relay.ts';

/** Asks a host's agent. Throws `HostUnreachable`, `HostRefusesAsk` and `ServiceUnavailable`. */
export type AskHost = (host: string, ask: HostAsk) => Promise<unknown>;

export type AskDeps = {
  readonly tables: Pick<Tables, 'of'>;
  readonly streams: Pick<Streams, 'ask' | 'has'>;
  readonly relay: Pick<AskRelay, 'ask'>;
  /** Id of this server. */
  readonly server: string;
};

/** Asks over the streams that are open here, and by the other servers of the store. */
export function createAskHost({ tables, streams, relay, server }: AskDeps): AskHost {
  return async (host, ask) => {
    const alive = tables.of('alive').get(host);
    if (alive === undefined) {
      const isKnown = tables.of('host').get(host) !== undefined;
      throw unreachable(host, isKnown ? 'its agent does not report' : 'it is not registered');
    }
    const isElsewhere = !streams.has(host) && alive.server !== null && alive.server !== server;
    if (isElsewhere) return await relay.ask(alive.server, host, ask);
    return await streams.ask(host, ask);
  };
}
