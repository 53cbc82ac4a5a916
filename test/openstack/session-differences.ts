/** In what Cable answers the session's commands otherwise than a stock neutron-server, on purpose. */

export type Difference = {
  /** The commands, from their first word on. */
  readonly of: RegExp;
  /** The difference as it is told. */
  readonly is: RegExp;
  readonly reason: string;
};

export const DIFFERENCES: readonly Difference[] = [];
