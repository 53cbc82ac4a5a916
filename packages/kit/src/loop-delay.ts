import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** How late the event loop comes to what is due. It costs a timer of Node's own, that runs no JavaScript. */
export class LoopDelay {
  readonly #resolutionMs: number;
  readonly #delays: IntervalHistogram;

  /** `resolutionMs`: how often it is looked; what is shorter may be missed. */
  constructor(resolutionMs: number) {
    this.#resolutionMs = resolutionMs;
    this.#delays = monitorEventLoopDelay({ resolution: resolutionMs });
    this.#delays.enable();
  }

  /** Quantiles (0 to 1) since the last call, in ms; 0 when nothing was seen yet. */
  take(quantiles: readonly number[]): readonly number[] {
    const delays = quantiles.map((quantile) => {
      if (this.#delays.count === 0) return 0;
      // Node counts from one look to the next.
      return Math.max(0, this.#delays.percentile(quantile * 100) / 1e6 - this.#resolutionMs);
    });
    this.#delays.reset();
    return delays;
  }

  stop(): void {
    this.#delays.disable();
  }
}
