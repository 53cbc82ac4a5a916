import type { AnyObject, Port } from '@cable/model';
import { VIP_OF } from '../engine/hidden.ts';

/** True for a port that has the virtual address of a load balancer. */
export function hasVip(port: Port): boolean {
  return typeof (port as AnyObject)[VIP_OF] === 'string';
}
