/** In what Cable answers the comparison's requests otherwise than a stock neutron-server, on purpose. */
import type { Difference } from './session-differences.ts';

const ANY = /^/;

/** Attributes and objects. */
const OF_ALL: readonly Difference[] = [
  {
    of: ANY,
    is: /\brevision_number: \d+ -> \d+$/,
    reason: 'counts the changes of an object; Neutron also writes it several times in one request, or begins with 0',
  },
  {
    of: ANY,
    is: /\bprovider:segmentation_id: \d+ -> \d+$/,
    reason: 'docs/design/segments.md: a number of the ranges at random, so that servers do not choose the same',
  },
  { of: ANY, is: /\bcable:\w+: nothing -> /, reason: 'attributes of Cable’s own' },
];

export const DIFFERENCES: readonly Difference[] = [...OF_ALL];
