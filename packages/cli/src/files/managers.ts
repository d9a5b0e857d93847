import { adminRequest, type ManagerStatus } from '@sekisho/manager';
import { CommandError, EXIT } from '../exit-codes.ts';
import type { Server, Site } from './site.ts';

/** A manager of this machine, and what it said of itself or why it said nothing. */
export interface Asked {
  readonly server: Server;
  readonly status: ManagerStatus | undefined;
  readonly problem: string | undefined;
}

/** Asks every manager of the site that runs on this machine. */
export function askManagers(site: Site, server: string | undefined): Promise<Asked[]> {
  const managers = site.here(server, whereManagersAre(site)).filter(({ roles }) => roles.includes('manager'));
  if (managers.length === 0) throw new CommandError(`No manager runs on this machine. ${whereManagersAre(site)}`);
  return Promise.all(managers.map((one) => ask(site, one)));
}

async function ask(site: Site, server: Server): Promise<Asked> {
  try {
    const { status, body } = await adminRequest(site.adminSocket(server), 'GET', '/status');
    if (status !== 200) return { server, status: undefined, problem: `it answered with an error: ${JSON.stringify(body)}` };
    return { server, status: body as ManagerStatus, problem: undefined };
  } catch (error) {
    return { server, status: undefined, problem: explain(error, site.adminSocket(server)) };
  }
}

/** Gives an order about the table to a manager of this machine that runs; the store carries it to the others. */
export async function orderManagers(site: Site, order: { path: string; body: object }): Promise<unknown> {
  const problems: string[] = [];
  for (const server of site.here(undefined, whereManagersAre(site)).filter(({ roles }) => roles.includes('manager'))) {
    const socket = site.adminSocket(server);
    try {
      const { status, body } = await adminRequest(socket, 'POST', order.path, order.body);
      if (status === 200) return body;
      throw new CommandError((body as { message?: string }).message ?? `the manager answered ${status}`);
    } catch (error) {
      if (error instanceof CommandError) throw error;
      problems.push(`${server.name}: ${explain(error, socket)}`);
    }
  }
  throw new CommandError(problems.join('\n') || `No manager of this site runs on this machine. ${whereManagersAre(site)}`, EXIT.unavailable);
}

/** A manager is asked over a socket of its machine. */
function whereManagersAre(site: Site): string {
  return `Run this on a server with a manager: ${site.withRole('manager').map(({ name }) => name).join(' or ')}.`;
}

function explain(error: unknown, socket: string): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return `it does not run (nobody listens at ${socket}). Start it: sekisho up --config …`;
  if (code === 'EACCES') return `${socket} belongs to another user; run this command as that one.`;
  return `${socket} does not answer: ${code ?? String(error)}`;
}
