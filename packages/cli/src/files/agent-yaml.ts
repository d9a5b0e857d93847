import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { CommandError } from '../exit-codes.ts';

export interface AgentYamlInit {
  readonly mac: string;
  readonly label: string;
  readonly managerName: string;
  readonly caCertPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** agent.yaml: one file to carry to the router, key included. */
export function agentYaml(init: AgentYamlInit): string {
  const head = {
    mac: init.mac,
    ...(init.label === '' ? {} : { label: init.label }),
    manager: { name: init.managerName },
  };
  const proof = { ca: init.caCertPem, certificate: init.certPem, key: init.keyPem };
  return [
    '# The agent of one device. It holds the key that proves the device: keep it 0600, never copy it to a second device.',
    stringify(head, { lineWidth: 0 }).trimEnd(),
    '',
    '# failMode: open        # mail goes directly when no site can be reached; closed: clients are told to try later',
    '# forward:              # or --forward on the command line',
    '#   - 127.0.0.1:2525=mail.example.com:587',
    '#   - 127.0.0.1:1110=mail.example.com:110',
    '',
    stringify(proof, { lineWidth: 0 }).trimEnd(),
    '',
  ].join('\n');
}

/** Puts a new certificate and key into an agent.yaml and leaves everything else, comments included, as it is. */
export function renewedAgentYaml(path: string, proof: Pick<AgentYamlInit, 'certPem' | 'keyPem'>): string {
  const text = readFileSync(path, 'utf8');
  const block = (name: string, pem: string): [RegExp, string] => [
    new RegExp(String.raw`^${name}: \|\n(?:  .*\n?)+`, 'mu'),
    stringify({ [name]: pem }, { lineWidth: 0 }),
  ];
  let renewed = text;
  for (const [pattern, replacement] of [block('certificate', proof.certPem), block('key', proof.keyPem)]) {
    if (!pattern.test(renewed))
      throw new CommandError(`${path} has no block that could be renewed (${pattern.source.slice(1, 12)}); write a new file with --out`);
    renewed = renewed.replace(pattern, () => replacement);
  }
  return renewed;
}
