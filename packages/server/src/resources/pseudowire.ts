import type { AnyObject, StoredPseudowire } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import { vniClaim } from './network-segment.ts';

/** Pseudowires, which back ends of protons write. */
export const pseudowireModule: Contribution<AnyObject> = contribute<StoredPseudowire>({
  claims: ({ vni }) => [vniClaim(vni)],
});
