/** `set_gateway` of a host: whether gateways of routers may be on it. The keeper moves those that are. */
import { type AnyObject, CableError, type Host } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { showOne } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow } from '../engine/write.ts';
import { objectKey } from '../keys.ts';

/** Answers the host as it is then. Throws `NotFound`, and `InvalidInput` without a value. */
const setGateway: ActionHandler = async (deps, id, { gateway }, asked) => {
  const resource = deps.resources.named('host');
  if (typeof gateway !== 'boolean') {
    throw new CableError('InvalidInput', 'Invalid input for gateway. Reason: true or false is required.');
  }
  await deps.lock.run([objectKey('host', id)], asked, () =>
    transact(deps, asked, (planning) => {
      const act = (before: AnyObject) => ({ verb: 'action', before, action: 'set_gateway' }) as const;
      const host = permittedRow(planning, resource, id, act) as unknown as Host;
      if ((host.gateway ?? true) !== gateway) planning.plan.replace('host', { ...host, gateway });
    }),
  );
  return showOne(deps, resource, id, readerOf(deps, asked.credentials));
};

export const setGatewayModule: Contribution<AnyObject> = { actions: { set_gateway: setGateway } };
