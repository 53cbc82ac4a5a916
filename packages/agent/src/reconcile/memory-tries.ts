import { codeOf } from './room.ts';

/** The kernel's allocator for maps is filled again within microseconds. */
const TRIES = 32;

/** Calls again at once while the kernel has no memory for it just now. Throws what the last try threw. */
export function withMemoryTries(call: () => void): void {
  for (let tries = 1; ; tries += 1) {
    try {
      call();
      return;
    } catch (err) {
      if (codeOf(err) !== 'ENOMEM' || tries >= TRIES) throw err;
    }
  }
}
