import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Logger, silentLogger, startTurns } from '@cable/kit';
import { BpfError } from '../ffi/errno.ts';
import { Attachments } from './attached-programs.ts';
import { createFakeDataPlane } from './testing/fake-data-plane.ts';

const VIF = { portId: 'p', vif: 1, ifindex: 50, device: 'tap1' };
const VIFS = new Map([[VIF.portId, VIF]]);

type Said = { readonly level: string; readonly fields: object; readonly message: string };

function recordingLog(): { readonly log: Logger; readonly said: Said[] } {
  const said: Said[] = [];
  const at = (level: string) => (fields: object, message: string) => said.push({ level, fields, message });
  return { said, log: { ...silentLogger(), info: at('info'), warn: at('warn') } };
}

test('a device that vanishes before it is attached is a line without a stack, said once', async () => {
  const { log, said } = recordingLog();
  const attachments = new Attachments(createFakeDataPlane(), log);
  for (let round = 0; round < 3; round += 1) await attachments.ensure(['p'], VIFS, startTurns());
  assert.match(attachments.failures.get('p') ?? '', /^cannot attach to tap1: .*ENODEV/);
  assert.deepEqual(said, [
    { level: 'info', fields: { portId: 'p', device: 'tap1' }, message: 'device vanished before it was attached' },
  ]);
});

test('any other failure to attach is a warning with its error', async () => {
  const { log, said } = recordingLog();
  const refusing = {
    ...createFakeDataPlane(),
    attach: () => {
      throw new BpfError('attach enter_vif to ingress of device 50', 'EPERM');
    },
  };
  await new Attachments(refusing, log).ensure(['p'], VIFS, startTurns());
  assert.deepEqual(
    said.map(({ level, message }) => [level, message]),
    [['warn', 'cannot attach to a device']],
  );
});
