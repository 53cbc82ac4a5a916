/** Starts what plug-ins need when the first one is there: before that nothing of it is loaded or runs. */
import type { PluginKeeper } from './plugin-keeper.ts';
import type { PluginRunnerDeps } from './plugin-runner.ts';

export class PluginFollower {
  #keeper: Promise<PluginKeeper | undefined> | undefined;

  constructor(deps: PluginRunnerDeps) {
    const { tables, signal, log } = deps;
    const look = (): void => {
      if (this.#keeper !== undefined || !tables.has('plugin') || tables.of('plugin').size === 0) return;
      this.#keeper = import('./plugin-keeper.ts')
        .then(({ PluginKeeper: Keeper }) => (signal.aborted ? undefined : new Keeper(deps)))
        .catch((err: unknown) => {
          log.error({ err }, 'plug-ins cannot be asked');
          return undefined;
        });
    };
    const stop = tables.onChange((_revision, changes) => {
      if (changes.some(({ type }) => type === 'plugin')) look();
    });
    signal.addEventListener('abort', stop, { once: true });
    look();
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return Promise.resolve(this.#keeper).then((keeper) => keeper?.done);
  }
}
