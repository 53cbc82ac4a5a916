import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

/** A timer that comes as often shows how much later than due it came. A shorter one would cost more and see little more. */
const RESOLUTION_MS = 2;

const QUANTILES = [0.5, 0.9, 0.99, 0.999, 1] as const;

/** Measures how long the event loop keeps waiting what is due, for the registry. Returns how to stop that. */
export function addEventLoopDelay(registry: Registry): () => void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const gauge = new Gauge({
    name: 'cable_event_loop_delay_seconds',
    help: 'How late the event loop came to what was due, since the last time this was asked for; quantile 1: the longest.',
    labelNames: ['quantile'],
    registers: [registry],
    collect: () => {
      for (const quantile of QUANTILES) {
        const ms = delays.count === 0 ? 0 : delays.percentile(quantile * 100) / 1e6 - RESOLUTION_MS;
        gauge.set({ quantile: String(quantile) }, Math.max(0, ms) / 1000);
      }
      delays.reset();
    },
  });
  return () => delays.disable();
}
