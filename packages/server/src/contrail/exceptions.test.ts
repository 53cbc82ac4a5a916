import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CableError, ERRORS, isErrorCode } from '@cable/model';
import { pluginFault } from './exceptions.ts';
import { NEUTRON_CLASSES } from './testing/neutron-classes.ts';

const ID = '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b';
const TYPES = [
  'network',
  'subnet',
  'port',
  'router',
  'floatingip',
  'security_group',
  'security_group_rule',
  'trunk',
  'x',
];
const LABELS = ['', 'Network', 'Subnet', 'Port', 'Router', 'FloatingIP', 'SecurityGroup', 'Trunk', 'Wormhole'];

test('whatever is refused is told by a class that neutron-server finds, with what its text is made of', () => {
  const codes = Object.keys(ERRORS).filter(isErrorCode);
  for (const code of codes) {
    for (const type of TYPES) {
      for (const label of LABELS) {
        const { status, body } = pluginFault(
          new CableError(code, `something ${ID} else`, { label }),
          `/neutron/${type}`,
        );
        const found = NEUTRON_CLASSES.get(body.exception);
        assert.ok(found !== undefined, `${code} of ${type}: ${body.exception}`);
        const missing = found.parts.filter((part) => body[part] === undefined);
        assert.deepEqual(missing, [], `${code} of ${type}: ${body.exception}`);
        const { status: own } = new CableError(code, '');
        assert.equal(status, own === 401 || own === 403 ? own : 400);
      }
    }
  }
});

test('a class’s own status is the error’s', () => {
  const told = (code: keyof typeof ERRORS, type: string, message = ''): number | undefined =>
    NEUTRON_CLASSES.get(pluginFault(new CableError(code, message), `/neutron/${type}?x`).body.exception)?.status;
  assert.equal(told('ServiceUnavailable', 'port'), 503);
  assert.equal(told('OutcomeUnknown', 'port'), 503);
  assert.equal(told('InternalServerError', 'port'), 503);
  assert.equal(told('HTTPRequestEntityTooLarge', 'port'), 400);
  assert.equal(told('OverQuota', 'port'), 409);
  for (const type of TYPES) assert.equal(told('HTTPConflict', type), 409, type);
  for (const type of TYPES) assert.equal(told('NotFound', type), 404, type);
  assert.equal(told('PortSecurityPortHasSecurityGroup', 'port'), 400);
  assert.equal(told('PolicyNotAuthorized', 'port'), 403);
});

test('texts are put together as neutron-server puts them together', () => {
  const body = (error: CableError): object => {
    const { message: _message, detail: _detail, ...parts } = pluginFault(error, '/neutron/router').body;
    return parts;
  };
  assert.deepEqual(body(new CableError('BadRequest', 'Bad router request: Router already has a port on subnet x.')), {
    ...{ exception: 'BadRequest', resource: 'router', msg: 'Router already has a port on subnet x' },
  });
  assert.deepEqual(body(new CableError('InvalidInput', 'Invalid input for operation: no such thing.')), {
    ...{ exception: 'InvalidInput', error_message: 'no such thing' },
  });
  assert.deepEqual(body(new CableError('OverQuota', 'x', { fields: { resources: ['port'] } })), {
    ...{ exception: 'OverQuota', overs: ['port'] },
  });
  const used = new CableError('InUse', `Router ${ID} is in use by ports.`, { label: 'Router' });
  assert.deepEqual(body(used), { exception: 'RouterInUse', router_id: ID, reason: 'is in use by ports' });
});
