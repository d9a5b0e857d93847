import { expect, test } from 'vitest';
import { Operator } from '@sekisho/auth';
import { agentYaml } from '../files/agent-yaml.ts';
import { workplace } from '../testing/command.ts';

const here = workplace();
const MAC = '02:00:5e:10:00:01';

test('rules are printed; a port that is not of mail is refused with file, line and key, and nothing is run', async () => {
  const operator = await Operator.init(here.path('operator'), { name: 'Test', managerName: 'manager.example.com' });
  const issued = await operator.enrollDevice({ mac: MAC, rights: ['smtp'], days: 1, proof: 'certificate' });
  const device = agentYaml({ mac: MAC, label: '', managerName: 'manager.example.com', caCertPem: operator.caCertPem, ...issued });
  for (const [name, text] of [['good.yaml', 'intercept: { interfaces: [br-lan] }\n'], ['bad.yaml', 'intercept: { interfaces: [br-lan], ports: [25, 22] }\n'], ['none.yaml', '']] as const) {
    here.write(name, `${text}${device}`);
    here.chmod(name, 0o600);
  }
  const [good, bad, idle, down] = await Promise.all([
    here.sekisho('intercept', 'rules', '--config', 'good.yaml'),
    // Not a dry run: what is refused must not get as far as nft.
    here.sekishoWith({ PATH: '/nonexistent' }, 'intercept', 'up', '--config', 'bad.yaml'),
    here.sekisho('intercept', 'up', '--config', 'none.yaml'),
    here.sekisho('intercept', 'down', '--dry-run'),
  ]);
  expect(good).toMatchObject({ code: 0, stderr: '' });
  expect(good.stdout).toMatch(/^table inet sekisho\ndelete table inet sekisho\ntable inet sekisho \{\n[^]*tproxy ip6 to \[::1\]:7029[^]*\}\n$/u);
  expect(bad).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^bad\.yaml:1: intercept\.ports\.1: port 22 is not a mail port/u) });
  expect(idle).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('nothing to set') });
  expect(down.code).toBe(0);
  expect(down.stdout).toMatch(/^nft 'add table inet sekisho; delete table inet sekisho'\nip -4 rule flush protocol 229\n/u);
});
