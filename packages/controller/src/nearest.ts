import type { AnyObject } from '@cable/model';

/**
 * Of what a project sees under one name that which is meant: its own before what others share with it, which anybody may under whatever name he likes. Of security groups its own alone: who
 * shares one could else say who may reach pods of a project that has none of that name yet. (By an ID everything is meant.)
 */
export function nearest(type: string, found: readonly AnyObject[], projectId: string): readonly AnyObject[] {
  const own = found.filter((row) => row['project_id'] === projectId);
  return own.length > 0 || type === 'security_group' ? own : found;
}
