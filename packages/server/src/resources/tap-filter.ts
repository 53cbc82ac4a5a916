/** What `cable:filter` of a mirror may say. */
import { protocolNumber } from '@cable/compiler';
import { CableError, type TapFlow } from '@cable/model';

type Filter = TapFlow['cable:filter'];

/** Throws `InvalidInput` for a kind of traffic that no packet is of. */
export function checkTapFilter(filter: Filter): void {
  for (const [n, { protocol = null, port_range_min: min = null, port_range_max: max = null }] of filter.entries()) {
    if (protocolNumber(protocol?.toLowerCase() ?? null, 'IPv4') === undefined) {
      throw invalid(n, `protocol ${protocol} is not known: give a name as IANA has it, or a number from 0 to 255`);
    }
    if (min === null && max !== null) throw invalid(n, 'port_range_max without port_range_min: give both');
    if (min !== null && max !== null && min > max)
      throw invalid(n, `port_range_min ${min} is above port_range_max ${max}`);
  }
}

function invalid(n: number, reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: cable:filter[${n}]: ${reason}.`);
}
