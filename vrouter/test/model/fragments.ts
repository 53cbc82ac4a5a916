/** First fragments, whose ports the later ones have, and later ones that came before their first: by whose they are. */
import type { IpHeaders, Tuple } from './headers.ts';

const MOST_WAITING = 8;

export class Fragments {
  readonly #first = new Map<string, Tuple>();
  readonly #waiting = new Map<string, number[]>();

  /** A later fragment has the ports of its first. Undefined: that is not known. */
  withPorts(holder: string | undefined, network: string, ip: IpHeaders): IpHeaders | undefined {
    if (ip.fragment !== 'later') return ip;
    const tuple = this.#first.get(keyOf(holder, network, ip));
    return tuple && { ...ip, tuple };
  }

  /** Returns whether there was room for it. */
  keepWaiting(holder: string | undefined, { id }: IpHeaders): boolean {
    const waiting = this.#waiting.get(holder ?? '') ?? [];
    if (holder === undefined || waiting.length >= MOST_WAITING) return false;
    this.#waiting.set(holder, [...waiting, id]);
    return true;
  }

  /** The packet is accepted: others may follow it, and nobody waits for it any more. */
  accept(holder: string | undefined, network: string, ip: IpHeaders): void {
    if (ip.fragment !== 'first') return;
    this.#first.set(keyOf(holder, network, ip), ip.tuple);
    const waiting = this.#waiting.get(holder ?? '') ?? [];
    this.#waiting.set(
      holder ?? '',
      waiting.filter((id) => id !== ip.id),
    );
  }
}

function keyOf(holder: string | undefined, network: string, ip: IpHeaders): string {
  return `${holder} ${network} ${ip.id} ${ip.protocol} ${ip.from} > ${ip.to}`;
}
