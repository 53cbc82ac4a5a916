/** Why Tempest skips what a stock neutron-server passes: an alias that Cable does not list, with the reason. */

type Skip = {
  /** As Tempest says it. */
  readonly said: RegExp;
  readonly reason: string;
};

const SKIPS: readonly Skip[] = [];

/** Undefined: nobody has said why this is skipped. */
export function skipReason(said: string): string | undefined {
  return SKIPS.find((skip) => skip.said.test(said))?.reason;
}
