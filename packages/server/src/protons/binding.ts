/** How the binding of a port goes from one phase to the next. Pure. */
import type { PortOwner } from '@cable/model';

/** How long controllers may take to bind a port. */
export const BIND_MS = 10_000;

/** What changes of the row. */
export type Binding = Pick<
  PortOwner,
  | 'phase'
  | 'generation'
  | 'controller'
  | 'session'
  | 'vif_type'
  | 'vif_details'
  | 'status'
  | 'reason'
  | 'deadline'
  | 'refused'
>;

const NOBODY = {
  ...{ controller: null, session: null, vif_type: null, vif_details: {}, status: null, reason: null },
} as const;

/** It is to be bound to another host, or once more after it has failed. */
export function pending(row: Pick<PortOwner, 'generation'>, now: Date): Binding {
  const deadline = new Date(now.getTime() + BIND_MS).toISOString();
  return { ...NOBODY, phase: 'Pending', generation: row.generation + 1, deadline, refused: {} };
}

/** It is to be on no host. */
export function unbound(row: Pick<PortOwner, 'generation'>): Binding {
  return { ...NOBODY, phase: 'Unbound', generation: row.generation + 1, deadline: null, refused: {} };
}

/** Who binds says himself how it is plugged, as clients of Gluon did. */
export function boundBy(row: Pick<PortOwner, 'generation'>, vifType: string, vifDetails: object): Binding {
  return {
    ...pending(row, new Date(0)),
    phase: 'Bound',
    vif_type: vifType,
    vif_details: { ...vifDetails },
    deadline: null,
  };
}

/** The vrouter of its host has it, and will say when it carries it. */
export function carried(row: Pick<PortOwner, 'generation'>, vifType: string, vifDetails: object): Binding {
  return { ...boundBy(row, vifType, vifDetails), status: 'DOWN' };
}

/** A controller has it. */
export function claimed(row: PortOwner, controller: string, session: string): Binding {
  return { ...bindingOf(row), controller, session };
}

/** Its controller has plugged it. */
export function bound(row: PortOwner, vifType: string, vifDetails: Readonly<Record<string, unknown>>): Binding {
  return {
    ...bindingOf(row),
    phase: 'Bound',
    vif_type: vifType,
    vif_details: vifDetails,
    reason: null,
    deadline: null,
  };
}

/** A controller does not plug it: another one may. */
export function refusedBy(row: PortOwner, controller: string, reason: string): Binding {
  const refused = { ...row.refused, [controller]: reason };
  return {
    ...bindingOf(row),
    controller: null,
    session: null,
    refused,
    reason: `${controller}: ${reason}`.slice(0, 1024),
  };
}

/** Nobody has plugged it. */
export function failed(row: PortOwner, reason: string): Binding {
  const vif = { vif_type: 'binding_failed', vif_details: {} };
  return {
    ...bindingOf(row),
    ...vif,
    phase: 'Failed',
    controller: null,
    session: null,
    reason: reason.slice(0, 1024),
    deadline: null,
  };
}

function bindingOf(row: PortOwner): Binding {
  const { phase, generation, controller, session, vif_type, vif_details, status, reason, deadline, refused } = row;
  return { phase, generation, controller, session, vif_type, vif_details, status, reason, deadline, refused };
}

/** True when the text fits the pattern, in which * stands for any text. Linear. */
export function isHostLike(pattern: string, host: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return pattern === host;
  if (!host.startsWith(first) || !host.endsWith(last) || host.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of rest) {
    const found = host.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= host.length - last.length;
}
