/** What a member's probes have come to. `state` undefined: none has told yet. `against`: results on end that say otherwise. */
export type MemberState = { readonly state: 'up' | 'down' | undefined; readonly against: number };

export const NOTHING_TOLD: MemberState = { state: undefined, against: 0 };

/** How many results on end it takes. */
export type Thresholds = { readonly rise: number; readonly fall: number };

/** The state after one more result. The first result of all decides by itself. */
export function afterProbe({ state, against }: MemberState, isWell: boolean, { rise, fall }: Thresholds): MemberState {
  const said = isWell ? 'up' : 'down';
  if (state === undefined) return { state: said, against: 0 };
  if (state === said) return { state, against: 0 };
  const count = against + 1;
  return count >= (isWell ? rise : fall) ? { state: said, against: 0 } : { state, against: count };
}
