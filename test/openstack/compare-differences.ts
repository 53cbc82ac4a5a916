/** In what Cable answers the comparison's requests otherwise than a stock neutron-server, on purpose. What is not here has not been judged yet. */
import type { Difference } from './session-differences.ts';

const ANY = /^/;

/** Attributes and objects. */
const OF_ALL: readonly Difference[] = [
  {
    of: ANY,
    is: /\brevision_number: (\d+|nothing) -> \d+$/,
    reason: 'counts the changes of an object; Neutron also writes it several times in one request, or begins with 0',
  },
  {
    of: ANY,
    is: /\bprovider:segmentation_id: \d+ -> \d+$/,
    reason: 'docs/design/segments.md: a number of the ranges at random, so that servers do not choose the same',
  },
  { of: ANY, is: /\bcable:\w+: nothing -> /, reason: 'attributes of Cable’s own' },
  {
    of: ANY,
    is: /\b(created_at|updated_at|description): nothing -> /,
    reason: 'docs/design/openstack.md: all types get the standard attributes',
  },
  { of: ANY, is: /\bis_default: nothing -> false$/, reason: 'said of every network, also where it was not created' },
  {
    of: /^routers /,
    is: /\b(distributed|ha): false -> true$/,
    reason: 'docs/design/gateway-fail-over.md: routers are on every host, and their gateways have standbys',
  },
  {
    of: /^floatingips /,
    is: /\bsubnet_id: nothing -> "<floatingips/,
    reason: 'said beside what Neutron says: the subnet that the address is of',
  },
  {
    of: /^security_group/,
    is: /\b(standard_attr_id: .* -> nothing|belongs_to_default_sg: nothing -> (true|false))$/,
    reason: 'rules have no number in a database; belongs_to_default_sg is of a later version',
  },
  {
    of: /^rest \w+: (GET|PUT) \/quotas/,
    is: /\bquota\.\w+: nothing -> /,
    reason: 'more types are counted than in Neutron',
  },
];

/** Requests that one of the two refuses. */
const OF_REFUSALS: readonly Difference[] = [
  { of: ANY, is: /^answer: 500 \w+ -> 4\d\d /, reason: 'what cannot be had is no defect' },
  { of: /"a\\u0000b"/, is: /^answer: 20\d -> 400 /, reason: 'docs/design/api.md: a text with a NUL is refused' },
  { of: /::ffff:/, is: /^answer: .* -> 400 /, reason: 'docs/design/api.md: so is IPv4 in IPv6 form' },
  {
    of: /"\w+":(1\.5|true|false|7\.5)\b/,
    is: /^answer: (20\d|400 \w+) -> 400 InvalidInput$/,
    reason: 'docs/design/api.md: what is no whole number is refused, and not cut off or counted as 0 or 1',
  },
  { of: /"tenant_id":""/, is: /^answer: 201 -> 400 HTTPBadRequest$/, reason: 'what is of no project nobody could see' },
  {
    of: /^\S+ \w+: (PUT|DELETE) /,
    is: /^answer: 404 \w+ -> 405 HTTPMethodNotAllowed$/,
    reason: 'there is no such request; Neutron takes a collection for the object None',
  },
  {
    of: /: GET \S+\?/,
    is: /^answer: 400 (HTTPBadRequest|InvalidInput) -> 200$/,
    reason: 'docs/design/api.md: lists are filtered by more attributes; empty text fits null',
  },
  {
    of: /: GET \S+\?/,
    is: /^answer: (200|400 HTTPBadRequest) -> 400 InvalidInput$/,
    reason: 'docs/design/api.md: a filter by a boolean or an integer that is no value of one is refused',
  },
  {
    of: / member: GET \S+\?/,
    is: /^answer: 200 -> 400 HTTPBadRequest$/,
    reason: 'docs/design/policy.md: a filter by what the caller does not see would tell what it is',
  },
  {
    of: / (member|other): POST \/subnets/,
    is: /^answer: .* -> 403 PolicyNotAuthorized$/,
    reason: 'who uses a shared network would change it for all: its owner alone makes subnets, as in later versions',
  },
  {
    of: / member: GET \/quotas/,
    is: /^answer: 403 (AdminRequired|PolicyNotAuthorized) -> (200|403 PolicyNotAuthorized)$/,
    reason: 'docs/design/policy.md: a project sees its own quota, and what refuses it is a rule',
  },
  {
    of: /^segments /,
    is: /^answer: (20\d|404 \w+|400 \w+) -> (400|404) /,
    reason: 'docs/design/segments.md: a network has one segment',
  },
];

export const DIFFERENCES: readonly Difference[] = [...OF_ALL, ...OF_REFUSALS];
