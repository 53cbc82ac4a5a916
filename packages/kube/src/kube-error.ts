/** A refusal of the API server: a `Status` of Kubernetes (API conventions, "Error codes"). */
export class KubeError extends Error {
  /** HTTP status; of an error in a watch the `code` of its `Status`. */
  readonly status: number;
  /** In Kubernetes' word, e.g. `NotFound`, `AlreadyExists`, `Conflict`, `Expired`; empty: it gave none. */
  readonly reason: string;
  /** Seconds after which it wants to be asked again; undefined: it does not say. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.name = 'KubeError';
    this.status = status;
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** What was asked about is older than what the API server remembers: list anew. */
export function isExpired(err: unknown): boolean {
  return err instanceof KubeError && (err.status === 410 || err.reason === 'Expired' || err.reason === 'Gone');
}

/** The object is not there. */
export function isNotFound(err: unknown): boolean {
  return err instanceof KubeError && err.status === 404;
}

/** Somebody wrote first: look again, and decide again. */
export function isConflict(err: unknown): boolean {
  return err instanceof KubeError && err.status === 409;
}

/** Schema or rules of the kind do not take what was written. */
export function isInvalid(err: unknown): boolean {
  return err instanceof KubeError && err.status === 422;
}
