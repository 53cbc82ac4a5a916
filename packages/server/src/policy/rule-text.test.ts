import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Expression, Template } from './expression.ts';
import { parseRule, type RuleText } from './rule-text.ts';

test('every form of a rule is understood', () => {
  for (const [rule, expected] of [
    ['', '@'],
    ['@', '@'],
    ['!', '!'],
    ['role:admin', 'role(admin)'],
    ['role:compute:admin', 'role(compute:admin)'],
    ['role:%(role)s', 'role(<role>)'],
    ['rule:admin_only', 'rule(admin_only)'],
    ['rule:create_port:fixed_ips', 'rule(create_port:fixed_ips)'],
    ['is_admin:True', 'is_admin==True'],
    ['project_id:%(project_id)s', 'project_id==<project_id>'],
    ['tenant_id:%(network:tenant_id)s', 'tenant_id==<network:tenant_id>'],
    ['tenant_id:%(ext_parent:tenant_id)s', 'tenant_id==<ext_parent:tenant_id>'],
    ['system_scope:all', 'system_scope==all'],
    ['token.user.domain.id:%(target.domain.id)s', 'token/user/domain/id==<target.domain.id>'],
    ["'member':%(role.name)s", "'member'==<role.name>"],
    ["'a:b':%(c)s", "'a:b'==<c>"],
    ['"x":%(y)s', "'x'==<y>"],
    ["'':%(y)s", "''==<y>"],
    ['None:%(tenant_id)s', "'None'==<tenant_id>"],
    ['True:%(shared)s', "'True'==<shared>"],
    ['-12:%(a)s', "'-12'==<a>"],
    ['user_id:a%(b)sc%%%(d)s', 'user_id==a<b>c%<d>'],
    ['device_id:', 'device_id=='],
    ['field:networks:shared=True', 'field(networks.shared=True)'],
    ['field:port:binding:vnic_type=a=b', 'field(port.binding:vnic_type=a=b)'],
    ['field:port:device_owner=~^network:', 'field(port.device_owner~)'],
    ['field:port:device_owner=~^(a|b)', 'field(port.device_owner~)'],
    ['(field:port:device_owner=~^(a|b))', 'field(port.device_owner~)'],
    ['role:a or role:b and role:c', '(role(a) or (role(b) and role(c)))'],
    ['role:a and role:b or role:c', '((role(a) and role(b)) or role(c))'],
    ['role:a or role:b and role:c and role:d or role:e', '(role(a) or (role(b) and role(c) and role(d)) or role(e))'],
    ['(role:a or role:b) and role:c', '((role(a) or role(b)) and role(c))'],
    ['not role:a and role:b', '(!role(a) and role(b))'],
    ['not (role:a and role:b)', '!(role(a) and role(b))'],
    ['NOT not role:a OR @', '(!!role(a) or @)'],
    ['  ( ((project_id:%(project_id)s))  )\n', 'project_id==<project_id>'],
    [[], '@'],
    [[[]], '!'],
    [[['role:a'], ['role:b', 'role:c']], '(role(a) or (role(b) and role(c)))'],
    [['role:a', 'role:b'], '(role(a) or role(b))'],
    [[['@']], '@'],
  ] as readonly (readonly [RuleText, string])[]) {
    const parsed = parseRule(rule);
    assert.ok(parsed.ok, `${rule}: ${parsed.ok ? '' : parsed.reason}`);
    assert.equal(describe(parsed.expression), expected, JSON.stringify(rule));
  }
});

test('what is no rule is refused with its place', () => {
  for (const [rule, position, reason] of [
    ['   ', 3, /a check is expected/],
    ['admin', 0, /no colon/],
    ['role:a and', 10, /a check is expected/],
    ['role:a role:b', 7, /expected before "role:b"/],
    ['or role:a', 0, /a check is expected before "or"/],
    ['(role:a', 0, /not closed/],
    ['role:a)', 6, /no parenthesis to close/],
    ['role:a and ()', 12, /a check is expected/],
    ['not', 3, /a check is expected/],
    ["'alone'", 0, /alone is no check/],
    ["'two words':%(a)s", 0, /not closed in its word/],
    ["'a'b:%(a)s", 3, /colon/],
    ["'\\n':%(a)s", 1, /escapes/],
    ['role:', 5, /names none/],
    ['rule:', 5, /names none/],
    [':x', 0, /neither/],
    ['1a:x', 0, /neither/],
    ['a..b:x', 0, /neither/],
    ['project_id:%(project_id)', 11, /after %/],
    ['project_id:%(project_id)d', 11, /after %/],
    ['project_id:50%', 13, /after %/],
    ['role:a and field:networks', 17, /RESOURCE/],
    ['field:port:device_owner=~(a', 27, /not closed/],
    ['field:port:device_owner=~a(?=b)', 27, /groups/],
    ['http://example.com/%(a)s', 0, /other services/],
    [[['role:a', 'admin']], 0, /no colon/],
  ] as readonly (readonly [RuleText, number, RegExp])[]) {
    const parsed = parseRule(rule);
    assert.ok(!parsed.ok, JSON.stringify(rule));
    assert.match(parsed.reason, reason, JSON.stringify(rule));
    assert.equal(parsed.position, position, JSON.stringify(rule));
  }
});

test('hostile rules are refused, at a cost that is linear in their length', () => {
  const before = process.cpuUsage();
  const size = 1 << 20;
  for (const rule of [
    '('.repeat(size),
    ')'.repeat(size),
    'not '.repeat(size / 4),
    `${'('.repeat(200)}role:a${')'.repeat(200)}`,
    'not '.repeat(200),
    'role:a or '.repeat(size / 10),
    'role:a or '.repeat(1001),
    '%('.repeat(40_000),
    `a:${'%('.repeat(40_000)}`,
    `a:${'%()s'.repeat(20_000)}`,
    `${'a.'.repeat(40_000)}:b`,
    `'${'a'.repeat(90_000)}`,
    `field:a:b=~${'(a|'.repeat(20_000)}`,
    `field:a:b=~${'[a-'.repeat(20_000)}`,
    `field:${':'.repeat(90_000)}`,
    Array.from({ length: 2000 }, () => 'role:a'),
  ]) {
    assert.equal(parseRule(rule).ok, false, String(rule).slice(0, 40));
  }
  assert.equal(parseRule(`role:${'a'.repeat(90_000)}`).ok, true);
  assert.equal(parseRule(`${'role:a or '.repeat(999)}role:b`).ok, true);
  const { user } = process.cpuUsage(before);
  assert.ok(user < 5_000_000, `${user} µs`);
});

function describe(expression: Expression): string {
  switch (expression.kind) {
    case 'constant':
      return expression.value ? '@' : '!';
    case 'and':
    case 'or':
      return `(${expression.parts.map(describe).join(` ${expression.kind} `)})`;
    case 'not':
      return `!${describe(expression.part)}`;
    case 'rule':
      return `rule(${expression.name})`;
    case 'role':
      return `role(${template(expression.role)})`;
    case 'match': {
      const { left, right } = expression;
      return `${left.kind === 'literal' ? `'${left.text}'` : left.path.join('/')}==${template(right)}`;
    }
    case 'field': {
      const { resource, field, wanted } = expression;
      return `field(${resource}.${field}${wanted.kind === 'text' ? `=${wanted.text}` : '~'})`;
    }
  }
}

function template(parts: Template): string {
  return parts.map((part) => (typeof part === 'string' ? part : `<${part.attribute}>`)).join('');
}
