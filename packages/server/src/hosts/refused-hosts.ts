import { type Logger, Repeats } from '@cable/kit';
import { CableError, type ErrorCode } from '@cable/model';

/** Errors that an agent meets again and again, until an operator does something. */
const MESSAGES: Readonly<Partial<Record<ErrorCode, string>>> = {
  HostBeingRenamed: 'host refused: it is being renamed',
  HostNameInUse: 'host refused: another machine has its name',
  HostSuperseded: 'host refused: another run of its agent speaks for it',
  OtherHistory: 'host refused: it follows another history of the store',
  UnderlayAddressInUse: 'host refused: another host has its underlay address',
  UnderlayIpVersionMismatch: 'host refused: hosts tunnel over another IP version',
};

/** True: `RefusedHosts` tells of it. */
export function isHostRefusal({ code }: CableError): boolean {
  return MESSAGES[code] !== undefined;
}

/** Logs why hosts are refused: once for each reason, and every ten minutes while it lasts. */
export class RefusedHosts {
  readonly #log: Logger;
  readonly #repeats: Repeats;

  constructor(deps: { readonly log: Logger; readonly monotonicMs: () => number }) {
    this.#log = deps.log;
    this.#repeats = new Repeats(deps.monotonicMs);
  }

  /** What the work gives; a refusal of the host that it throws is logged, and thrown on. */
  async watch<T>(host: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (err) {
      if (err instanceof CableError && isHostRefusal(err)) this.#note(host, err);
      throw err;
    }
  }

  /** The host was let in. */
  forget(host: string): void {
    this.#repeats.forget(host);
  }

  #note(host: string, { code, message: reason, fields }: CableError): void {
    if (!this.#repeats.isNews(host, `${code} ${reason}`)) return;
    this.#log.warn({ ...fields, host, reason }, MESSAGES[code] ?? 'host refused');
  }
}
