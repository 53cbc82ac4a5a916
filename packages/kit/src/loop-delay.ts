import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** What is asked of Node's histogram: nanoseconds from one look to the next. */
export type LoopLooks = Pick<IntervalHistogram, 'count' | 'percentile' | 'reset' | 'enable' | 'disable'>;

/** How late the event loop comes to what is due. It costs a timer of Node's own, that runs no JavaScript. */
export class LoopDelay {
  readonly #resolutionMs: number;
  readonly #looks: LoopLooks;

  /** `resolutionMs`: how often it is looked; what is shorter may be missed. `looks`: who looks as often, default Node. */
  constructor(resolutionMs: number, looks: LoopLooks = monitorEventLoopDelay({ resolution: resolutionMs })) {
    this.#resolutionMs = resolutionMs;
    this.#looks = looks;
    this.#looks.enable();
  }

  /** Quantiles (0 to 1) since the last call, in ms; 0 when nothing was seen yet. */
  take(quantiles: readonly number[]): readonly number[] {
    const delays = quantiles.map((quantile) => {
      if (this.#looks.count === 0) return 0;
      // Node counts from one look to the next.
      return Math.max(0, this.#looks.percentile(quantile * 100) / 1e6 - this.#resolutionMs);
    });
    this.#looks.reset();
    return delays;
  }

  stop(): void {
    this.#looks.disable();
  }
}
