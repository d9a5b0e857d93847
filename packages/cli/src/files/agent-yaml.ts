import { readFileSync } from 'node:fs';
import { parseMac } from '@sekisho/wire';
import { parseDocument, stringify } from 'yaml';
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
    '# intercept:            # on a router: the mail of everybody behind it (docs/interception.md)',
    '#   interfaces: [br-lan]',
    '',
    stringify(proof, { lineWidth: 0 }).trimEnd(),
    '',
  ].join('\n');
}

/**
 * Puts a new certificate and key into an agent.yaml and leaves everything else, comments included, as it is.
 * @throws CommandError when it is another device's, or has not the form that `device enroll` gave it
 */
export function renewedAgentYaml(path: string, init: Pick<AgentYamlInit, 'mac' | 'certPem' | 'keyPem'>): string {
  let text = readFileSync(path, 'utf8');
  const written: unknown = parseDocument(text, { prettyErrors: false }).get('mac');
  if (macOf(written) !== init.mac)
    throw new CommandError(`${path} is not the agent.yaml of ${init.mac}: name that one with --out, or a new file.`);
  for (const [key, pem] of Object.entries({ certificate: init.certPem, key: init.keyPem })) {
    const block = new RegExp(String.raw`^${key}: \|\r?\n(?:[ \t]+.*(?:\r?\n|$))+`, 'mu');
    if (!block.test(text))
      throw new CommandError(`${path} has no block "${key}: |" as \`device enroll\` writes it. Name a new file with --out and copy your own lines into it.`);
    text = text.replace(block, () => stringify({ [key]: pem }, { lineWidth: 0 }));
  }
  return text;
}

function macOf(value: unknown): string | undefined {
  try {
    return parseMac(String(value));
  } catch {
    return undefined;
  }
}
