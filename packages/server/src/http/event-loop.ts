import { LoopDelay } from '@cable/kit';
import { Gauge, type Registry } from 'prom-client';

/** A shorter one would cost more and see little more. */
const RESOLUTION_MS = 2;

const QUANTILES = [0.5, 0.9, 0.99, 0.999, 1] as const;

/** Measures how long the event loop keeps waiting what is due, for the registry. Returns how to stop that. */
export function addEventLoopDelay(registry: Registry): () => void {
  const delay = new LoopDelay(RESOLUTION_MS);
  const gauge = new Gauge({
    name: 'cable_event_loop_delay_seconds',
    help: 'How late the event loop came to what was due, since the last time this was asked for; quantile 1: the longest.',
    labelNames: ['quantile'],
    registers: [registry],
    collect: () => {
      for (const [at, ms] of delay.take(QUANTILES).entries()) {
        gauge.set({ quantile: String(QUANTILES[at]) }, ms / 1000);
      }
    },
  });
  return () => delay.stop();
}
