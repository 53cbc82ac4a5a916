/** In how many steps a wait is made. */
const STEPS = 4;

/**
 * Calls `onOver` when `ms` have passed, of which this process could read answers: a wait is made in steps, and a step that takes long because the process was
 * busy counts as one. Returns how to stop that.
 */
export function startPatience(ms: number, onOver: () => void): () => void {
  let steps = 0;
  const step = (): void => {
    steps += 1;
    if (steps === STEPS) onOver();
    else timer = setTimeout(step, ms / STEPS);
  };
  let timer = setTimeout(step, ms / STEPS);
  return () => clearTimeout(timer);
}
