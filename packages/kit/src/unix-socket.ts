import { connect } from 'node:net';

/** True when a process listens on the Unix socket at the path: one that was killed leaves its socket behind. Never throws. */
export function isListenedOn(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // EAGAIN: more wait to be accepted than the listener allows.
    probe.once('error', (err: NodeJS.ErrnoException) => resolve(err.code === 'EAGAIN'));
  });
}
