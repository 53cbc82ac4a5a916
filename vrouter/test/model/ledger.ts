/** What leaves, and what is counted of it, by port. */
import type { Port } from './cloud.ts';
import { type Counters, NO_PORT, noCounters, type Outcome } from './outcome.ts';

export class Ledger {
  readonly all: Map<string, Counters> = new Map();

  /** A port's; or what is no port's. */
  #of(name: string | undefined): Counters {
    const key = name ?? NO_PORT;
    const counters = this.all.get(key) ?? noCounters();
    this.all.set(key, counters);
    return counters;
  }

  received(name: string | undefined, frame: Buffer): void {
    const counters = this.#of(name);
    counters.rxPackets += 1;
    counters.rxBytes += frame.length;
  }

  sent(name: string | undefined, frame: Buffer): void {
    const counters = this.#of(name);
    counters.txPackets += 1;
    counters.txBytes += frame.length;
  }

  drop(name: string | undefined, reason: string): Outcome {
    const { drops } = this.#of(name);
    drops.set(reason, (drops.get(reason) ?? 0) + 1);
    return { kind: 'drop', reason };
  }

  toPort(port: Port, frame: Buffer): Extract<Outcome, { kind: 'port' }> {
    this.sent(port.name, frame);
    return { kind: 'port', port: port.name, handover: port.kind === 'pod' ? 'peer' : 'vif', frame };
  }

  /** Out of the uplink, into a network outside. */
  toWire(network: string, frame: Buffer): Extract<Outcome, { kind: 'wire' }> {
    this.sent(undefined, frame);
    return { kind: 'wire', network, frame };
  }

  toHost(host: string, network: string, frame: Buffer): Outcome {
    this.sent(undefined, frame);
    return { kind: 'host', host, network, frame };
  }
}
