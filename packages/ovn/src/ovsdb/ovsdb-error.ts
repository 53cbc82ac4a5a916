import { ExpectedError } from '@cable/kit';

/**
 * What went wrong with a database. `lost`: the connection ended, and what was asked may or may not have been done. `refused`: the server said no, and nothing was done. `hostile`: the server
 * sent what no server of OVSDB sends, or more than is taken.
 */
export type OvsdbErrorKind = 'lost' | 'refused' | 'hostile';

/** A failure of a database, or of the way to it. */
export class OvsdbError extends ExpectedError {
  readonly kind: OvsdbErrorKind;
  /** The server's word for a refusal, such as `constraint violation` (RFC 7047 §3.1); empty: none. */
  readonly code: string;

  constructor(
    kind: OvsdbErrorKind,
    message: string,
    { code = '', cause }: { readonly code?: string; readonly cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.code = code;
  }
}
