import { CableError } from '@cable/model';

/** Smallest MTU, in bytes, of a network with IPv6 (RFC 8200 §5). */
export const IPV6_MIN_MTU = 1280;

/** Why a network does not get an IPv6 subnet, or not that MTU. */
export function mtuTooSmall(networkId: string): CableError {
  return new CableError(
    'NetworkMTUSubnetConflict',
    `MTU of ${networkId} is not valid, subnet requires a minimum of ${IPV6_MIN_MTU} bytes`,
  );
}
