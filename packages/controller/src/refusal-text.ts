/** How it is said why a pod has not what its annotations ask for: by the annotation that asks for it. */
import { ApiError } from '@cable/api';
import type { PodFacts } from './pod-facts.ts';
import { Unfit } from './pod-place.ts';
import { annotationOf, type FurtherInterface, type Wish } from './wishes.ts';

/** `further` undefined: it is about the pod's first interface. */
export function refusalText(err: Error, pod: Pick<PodFacts, 'annotations'>, further?: FurtherInterface): string {
  const detail = err instanceof ApiError && err.detail !== '' ? ` ${err.detail}` : '';
  const [annotation] = wishesIn(err).flatMap((wish) => annotationOf(pod, wish, further) ?? []);
  return `${annotation === undefined ? '' : `annotation ${annotation}: `}${err.message}${detail}`;
}

/** Which of a pod's wishes may be meant; none: nothing that an annotation asks for. */
function wishesIn(err: Error): readonly Wish[] {
  if (err instanceof Unfit) return err.about === undefined ? [] : [err.about];
  if (!(err instanceof ApiError)) return [];
  return MEANT.find(({ types, words }) => types.includes(err.type) || words.test(err.message))?.wishes ?? [];
}

/** What the server refuses by type, or by what its message speaks of. */
const MEANT: readonly {
  readonly types: readonly string[];
  readonly words: RegExp;
  readonly wishes: readonly Wish[];
}[] = [
  { types: ['MacAddressInUse'], words: /\bmac_address\b|\bMAC address\b/, wishes: ['macAddress'] },
  {
    types: ['IpAddressAlreadyAllocated', 'IpAddressInUse', 'InvalidIpForNetwork', 'InvalidIpForSubnet'],
    words: /\bfixed_ips\b/,
    wishes: ['ipAddress', 'pool'],
  },
  { types: [], words: /\ballowed_address_pairs\b/, wishes: ['pairs'] },
];
