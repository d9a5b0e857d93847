import type { About } from '@sekisho/channel';
import type { Probe } from './probe.ts';

/** Why a site should not join or leave: what agents would suffer. Empty: nothing is against it. */

export interface JoinState {
  readonly site: string;
  /** What site.yaml says, as it is here. */
  readonly about: About;
  /** The site's own managers, asked. */
  readonly ours: readonly Probe[];
  /** Who is under the name already. */
  readonly others: readonly Probe[];
  readonly relaysUp: number;
}

export function joinObjections({ site, about, ours, others, relaysUp }: JoinState): string[] {
  const objections = ours.flatMap((probe) => {
    const { address } = probe;
    if (!probe.ok) return [`its manager at ${address} does not answer as one (${probe.reason}): start it, and look at its log`];
    if (probe.site !== site) return [`at ${address} is a manager of site ${probe.site}: compare the addresses in site.yaml`];
    if (probe.config !== null && probe.config !== about.config)
      return [`the manager at ${address} runs with another configuration than this site.yaml: restart it, or bring it the same file`];
    return [];
  });
  if (relaysUp === 0) objections.push('none of its relays answers: agents would come for nothing. Start them');
  const stacks = new Set(others.flatMap((probe) => (probe.ok && probe.stack !== null ? [probe.stack] : [])));
  if (stacks.size > 0 && !stacks.has(about.stack))
    objections.push(`it is not the stack that the other sites are (${[...stacks].join(', ')}; here ${about.stack}): compare site.yaml with theirs, docs/dns.md says which keys are a site's own`);
  return objections;
}

export interface LeaveState {
  /** Who stays under the name. */
  readonly others: readonly Probe[];
  /** Records of which DNS said nothing. */
  readonly unanswered: readonly string[];
}

export function leaveObjections({ others, unanswered }: LeaveState): string[] {
  if (unanswered.length > 0) return [`DNS gives no answer for the ${unanswered.join(' and ')} records, so nobody knows who would stay`];
  if (others.length === 0) return ['these are the last addresses of the name: agents would find no manager, and go on with those they know'];
  if (others.some((probe) => probe.ok)) return [];
  return [`none of those who would stay answers as a manager (${others.map(({ address }) => address).join(', ')})`];
}
