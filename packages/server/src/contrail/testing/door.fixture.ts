/** A whole server behind a real listener, and the plug-in that asks it. */
import type { TestContext } from 'node:test';
import { type Edge, startEdge } from '../../http/edge.fixture.ts';
import { createPlugin, type Plugin, type UserContext } from './plugin.ts';

/** A project as Keystone names it, and the same with dashes. */
export const PROJECT = '5d0f6a2c9b8e4d31a7c4f0e1d2b3a495';
export const DASHED_PROJECT = '5d0f6a2c-9b8e-4d31-a7c4-f0e1d2b3a495';
export const OTHER_PROJECT = '0a1b2c3d4e5f60718293a4b5c6d7e8f9';

export const ADMIN: UserContext = { tenant_id: PROJECT, is_admin: true, roles: ['admin'], user_id: 'u1' };
export const MEMBER: UserContext = { tenant_id: PROJECT, tenant: PROJECT, roles: ['member', 'reader'], user_id: 'u2' };
export const STRANGER: UserContext = { tenant_id: OTHER_PROJECT, roles: ['member', 'reader'], user_id: 'u3' };

export type Door = { readonly edge: Edge; readonly plugin: Plugin };

/** Everything is gone when the test ends. */
export async function startDoor(t: TestContext): Promise<Door> {
  const edge = await startEdge(t);
  return { edge, plugin: createPlugin({ servers: [edge.url] }) };
}
