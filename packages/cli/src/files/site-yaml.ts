import { stringify } from 'yaml';

export interface SiteYamlInit {
  readonly site: string;
  readonly managerName: string;
  readonly servers: readonly { readonly name: string; readonly address: string; readonly roles: readonly string[] }[];
  /** Loopback may be a destination, and relays listen on loopback: for trying things out on one machine. */
  readonly dev: boolean;
}

/** The commented site.yaml that `site init` writes. */
export function siteYaml({ site, managerName, servers, dev }: SiteYamlInit): string {
  const rows = servers.map(({ name, address, roles }) => `  - { name: ${name}, address: ${scalar(address)}, roles: [${roles.join(', ')}] }`);
  return `# Site ${site}: one file, the same on all its servers. docs/configuration.md explains every key;
# \`sekisho check-config\` tells what is wrong with it and whether this machine can carry it.
site: ${scalar(site)}
managerName: ${scalar(managerName)}        # its A and AAAA records are the managers of all sites

keys: keys                             # made by \`site init\`; a server needs only the files of its roles
stateDir: state
store:
  url: sqlite:state/site.db            # managers on two servers must share: redis+unix:/run/redis/redis.sock

servers:                               # all relay; two of them also manage and authenticate
${rows.join('\n')}

# table:                               # a server that stands here twice gets twice the share
#   relays: [${servers.map(({ name }) => name).join(', ')}]

auth:
  revocations:
    file: revocations.crl.pem          # carry the operator's newest here, or publish it:
    # urls: [https://operator.example.com/revocations.crl.pem]

relay:
  maxSessions: 4000                    # "full" is an answer; without it a surge takes the machine down
  # inspect:                           # viruses: a pair of clamd, or more (docs/inspection.md)
  #   clamd: ['unix:/run/clamav/clamd.ctl', 'tcp:10.0.0.7:3310']
${
  dev
    ? `  destinations:                        # a site made with --dev may relay to this machine; a real one may not
    allow: [127.0.0.0/8, '::1/128']
`
    : `  # destinations:
  #   allow: [10.1.0.0/16]             # private networks are refused unless they stand here
`
}
# metrics: { manager: 9460, relay: 9461, auth: 9462 }   # Prometheus, on loopback
`;
}

/** A text as YAML, quoted where it would be something else: the site 2024, the address 2001:db8:: with its last colon. */
function scalar(text: string): string {
  return stringify(text).trimEnd();
}
