import { CableError } from '@cable/model';
import { StoreError, type StoreErrorCode } from '@cable/store';

/** The code of a `StoreError`; undefined for anything else. */
export function storeErrorCode(err: unknown): StoreErrorCode | undefined {
  return err instanceof StoreError ? err.code : undefined;
}

/** True: the server asked the store for what it cannot be asked for. Trying again does not help. */
export function isMisuse(code: StoreErrorCode): boolean {
  return code === 'invalid' || code === 'too-large';
}

/** What a client is told of a write for which the store has no room. */
export function storeFull(cause: unknown): CableError {
  return new CableError('StoreFull', 'The store has no room left: the request was refused and has changed nothing.', {
    cause,
  });
}
