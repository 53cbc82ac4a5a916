/** Work that is asked for again and again. */

/** Asked for while it is under way, however often, it is done once more afterwards. `work` never rejects. */
export function oneAtATime(work: () => Promise<void>): () => void {
  let isUnderWay = false;
  let isAsked = false;
  const run = async (): Promise<void> => {
    isUnderWay = true;
    while (isAsked) {
      isAsked = false;
      await work();
    }
    isUnderWay = false;
  };
  return () => {
    isAsked = true;
    if (!isUnderWay) void run();
  };
}
