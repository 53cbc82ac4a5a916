/** The code of a `StoreError`; undefined for anything else. */
export function storeErrorCode(err: unknown): string | undefined {
  if (!(err instanceof Error) || err.name !== 'StoreError' || !('code' in err)) return undefined;
  return typeof err.code === 'string' ? err.code : undefined;
}
