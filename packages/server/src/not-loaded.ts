/** What a request is about is not loaded any more, or not as it was when the request was parsed. Nothing was written by who threw it. */
export class NotLoadedError extends Error {
  constructor(what: string) {
    super(`${what} is not loaded`);
    this.name = 'NotLoadedError';
  }
}
