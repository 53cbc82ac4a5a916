import { LoopDelay } from '@cable/kit';
import { Gauge, type Registry } from 'prom-client';
import { check, type ReadinessCheck } from './readiness.ts';

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

/** How often it is looked whether the event loop was kept. */
const LOOK_MS = 250;
/** Kept for longer, it makes a server unready for a while. */
const PAUSE_MS = 1000;
const REMEMBERED_MS = 5000;

/** A check that fails for some seconds after something has kept the event loop for longer than one. Looks until the signal aborts. */
export function watchPauses(monotonicMs: () => number, signal: AbortSignal): ReadinessCheck {
  let looked = monotonicMs();
  let pausedAt: number | undefined;
  let pauseMs = 0;
  const look = (): void => {
    const now = monotonicMs();
    const lateMs = now - looked - LOOK_MS;
    looked = now;
    if (lateMs < PAUSE_MS) return;
    pausedAt = now;
    pauseMs = lateMs;
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return check('loop', () => {
    if (pausedAt === undefined || monotonicMs() - pausedAt > REMEMBERED_MS) return undefined;
    return `the server did nothing else for ${(pauseMs / 1000).toFixed(1)} s a moment ago`;
  });
}
