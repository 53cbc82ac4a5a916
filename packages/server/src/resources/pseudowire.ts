import { type AnyObject, CableError, type StoredPseudowire } from '@cable/model';
import { type Claim, type Contribution, contribute } from '../engine/module.ts';
import { unbookedLine } from './minimum-bandwidth.ts';
import { vniClaim } from './network-segment.ts';

/** Pseudowires, which back ends of protons write. */
export const pseudowireModule: Contribution<AnyObject> = contribute<StoredPseudowire>({
  claims: (wire) => [vniClaim(wire.vni), ...(wire.at_port_id === null ? [endClaim(wire)] : [])],
  broken: unbookedLine,
});

/** A port is an end of one line. */
function endClaim({ port_ids: [portId = ''] }: StoredPseudowire): Claim {
  return {
    ...{ kind: 'line_end', value: portId },
    holder: (look) =>
      look
        .by('pseudowire', 'port_ids', portId)
        .find(({ at_port_id: at, port_ids: [from] }) => at === null && from === portId)?.id,
    taken: () =>
      new CableError('HTTPConflict', `Port ${portId} is an end of another line.`, {
        detail: 'Give another port, or delete that line.',
      }),
  };
}
