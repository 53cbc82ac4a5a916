import type { HostAsk } from '@cable/model';
import { unreachable } from '../hosts/host-asks.ts';
import type { Streams } from '../hosts/streams.ts';
import type { Tables } from '../tables.ts';

/** Asks a host's agent. Throws `HostUnreachable`, `HostRefusesAsk` and `ServiceUnavailable`. */
export type AskHost = (host: string, ask: HostAsk) => Promise<unknown>;

export type AskDeps = {
  readonly tables: Pick<Tables, 'of'>;
  readonly streams: Pick<Streams, 'ask' | 'has'>;
  /** Id of this server. */
  readonly server: string;
};

/** Asks over the streams that are open here. */
export function createAskHost({ tables, streams, server }: AskDeps): AskHost {
  return async (host, ask) => {
    const alive = tables.of('alive').get(host);
    if (alive === undefined) {
      const isKnown = tables.of('host').get(host) !== undefined;
      throw unreachable(host, isKnown ? 'its agent does not report' : 'it is not registered');
    }
    if (!streams.has(host) && alive.server !== server) {
      throw unreachable(host, 'its agent is connected to another server of this store');
    }
    return await streams.ask(host, ask);
  };
}
