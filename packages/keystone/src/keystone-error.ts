/**
 * `away`: no answer that makes sense: not reached, too late, an error of its own, another thing than Keystone. `refused`: it does not take the credentials of
 * the one who asks. `forbidden`: it takes them, and does not let him ask this.
 */
export type KeystoneErrorKind = 'away' | 'refused' | 'forbidden';

/** Keystone did not say what was asked. The message has no secret in it, nor what the answer had. */
export class KeystoneError extends Error {
  override name = 'KeystoneError';
  readonly kind: KeystoneErrorKind;

  constructor(kind: KeystoneErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}
