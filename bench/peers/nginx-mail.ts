import { freePort } from '../../test/kit/ports.ts';
import type { Destinations, Lane } from './lane.ts';
import { runNginx } from './nginx.ts';

/**
 * One nginx as SMTP proxy. It asks an HTTP server where each session goes; that is another nginx here, whose CPU is not
 * counted, as in operation it is another program.
 * @throws Unavailable
 */
export async function startNginxMail(destinations: Destinations): Promise<Lane> {
  const authPort = await freePort();
  const port = await freePort();
  const answer = [`Auth-Status OK`, 'Auth-Server 127.0.0.1', `Auth-Port ${destinations.smtp}`].map((header) => `add_header ${header};`).join(' ');
  const auth = await runNginx('http', `http { access_log off; server { listen 127.0.0.1:${authPort}; location / { ${answer} return 204; } } }\n`, authPort);
  const settings = `server_name bench.example.com; auth_http 127.0.0.1:${authPort}/; smtp_auth none; xclient off;`;
  const proxy = await runNginx('mail', `mail { ${settings} server { listen 127.0.0.1:${port}; protocol smtp; } }\n`, port);
  return {
    name: 'nginx_mail',
    ports: { smtp: port },
    halves: { relay: proxy.child.pid },
    stop: async () => {
      await Promise.all([proxy.stop(), auth.stop()]);
    },
  };
}
