import { createTransport } from 'nodemailer';
import type { ClientResult, SubmissionInit } from '../kit/mail-clients.ts';
import { destinationTls } from '../kit/tls.ts';

const { cert } = destinationTls();

/** Sends a message with nodemailer, as runSwaks and runMsmtp do; it verifies the destination's certificate. */
export async function runNodemailer({ server, from, to, raw, tls, auth }: SubmissionInit): Promise<ClientResult> {
  const transport = createTransport({
    host: server.address,
    port: server.port,
    secure: tls === 'implicit',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === undefined || tls === 'none',
    // Verifies: whatever certificate is not the destination's own ends the conversation.
    tls: { ca: cert, servername: 'mail.example.com' },
    ...(auth === undefined ? {} : { auth: { user: auth.user, pass: auth.password }, authMethod: auth.mechanism ?? 'PLAIN' }),
  });
  try {
    const { response } = await transport.sendMail({ envelope: { from, to: [...to] }, raw });
    return { code: 0, transcript: response };
  } catch (error) {
    return { code: 1, transcript: String(error) };
  } finally {
    transport.close();
  }
}
