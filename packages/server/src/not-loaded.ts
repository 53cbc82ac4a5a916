/** What a request is about is not loaded any more, or not as it was when the request was parsed. Nothing was written by who threw it. */
export class NotLoadedError extends Error {
  constructor(what: string) {
    super(`${what} is not loaded`);
    this.name = 'NotLoadedError';
  }
}

/** The objects, or none where their type is not loaded. */
export function whereLoaded<T>(find: () => readonly T[]): readonly T[] {
  try {
    return find();
  } catch (err) {
    if (err instanceof NotLoadedError) return [];
    throw err;
  }
}
