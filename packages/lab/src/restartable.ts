import type { LabProcess } from './processes.ts';

/** A process that checks end and start again. */
export type Restartable = {
  readonly name: string;
  current(): LabProcess;
  /** Starts it again; ready when this resolves. Returns how long that took (ms). */
  start(): Promise<number>;
  /** `kill -9`, and it is gone when this resolves. */
  kill(): Promise<void>;
  /** Asks it to end, and it is gone when this resolves. */
  stop(): Promise<void>;
};

/** Starts a process by `launch`, which resolves when it is ready. */
export async function restartable(name: string, launch: () => Promise<LabProcess>): Promise<Restartable> {
  let current = await launch();
  return {
    name,
    current: () => current,
    start: async () => {
      const startedAt = performance.now();
      current = await launch();
      return performance.now() - startedAt;
    },
    kill: () => current.stop('SIGKILL'),
    stop: () => current.stop(),
  };
}
