import { StoreError, type StoreErrorCode } from '@cable/store';

/** The code of a `StoreError`; undefined for anything else. */
export function storeErrorCode(err: unknown): StoreErrorCode | undefined {
  return err instanceof StoreError ? err.code : undefined;
}
