import { request as httpRequest } from 'node:http';

/** `status` is that of HTTP; `body` what the manager answers, on errors `{ error, message }`. */
export interface AdminResponse {
  readonly status: number;
  readonly body: unknown;
}

const TIMEOUT_MS = 10_000;
/** The status of a large site has about 64 KiB. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/**
 * Asks the manager whose administration socket is at `socketPath`. Rejects with the operating system's error: ENOENT or
 * ECONNREFUSED when no manager runs there, EACCES when it is somebody else's; and after 10 s without an answer.
 */
export function adminRequest(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<AdminResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<AdminResponse>();
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const request = httpRequest(
    {
      socketPath,
      method,
      path,
      agent: false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers:
        payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) },
    },
    (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > MAX_BODY_BYTES) response.destroy(new Error(`an answer of more than ${MAX_BODY_BYTES} bytes`));
        chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) as unknown });
        } catch {
          reject(new Error('the answer is not JSON'));
        }
      });
    },
  );
  request.on('error', reject);
  request.end(payload);
  return promise;
}
